// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/linear_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tandem/kernels/pack.h"
#include "tandem/llm/floats.h"

namespace tandem {
namespace {

size_t elements(const LinearCut& cut) { return static_cast<size_t>(cut.rows.count * cut.columns.count); }

bool whole_columns(const LinearCut& cut) { return cut.columns.count == cut.in; }

int8_t low_nibble(std::byte value) {
  return static_cast<int8_t>(static_cast<int8_t>(std::to_integer<int>(value) << 4) >> 4);
}
int8_t high_nibble(std::byte value) {
  return static_cast<int8_t>(static_cast<int8_t>(std::to_integer<int>(value)) >> 4);
}

}  // namespace

Expected<const StoredTensor*> LinearReader::find(const std::string& name, std::initializer_list<int64_t> shape) {
  auto tensor = checkpoint_.require(name, shape);
  if (!tensor) return tensor;
  if (model_.dtype == DType::none) model_.dtype = (*tensor)->dtype;
  if ((*tensor)->dtype == model_.dtype) return tensor;
  return fail(ErrorCode::unsupported,
              fmt::format("checkpoint: tensor {} is {}, {} like model.embed_tokens.weight wanted", name,
                          dtype_name((*tensor)->dtype), dtype_name(model_.dtype)));
}

Expected<float*> LinearReader::keep(const std::vector<float>& values) {
  auto memory = model_.store.take(values.size() * sizeof(float));
  if (!memory) return fail(memory.error());
  auto* floats = reinterpret_cast<float*>(*memory);
  std::copy(values.begin(), values.end(), floats);
  return floats;
}

Status LinearReader::pack(const Weight& from, DType dtype, int64_t k, int64_t n, Linear& target) {
  target.packed = {{nullptr, dtype, 0, 0, kPanel}, k, n};
  if (k == 0 || n == 0) return {};
  auto memory = model_.store.take(packed_bytes(dtype, k, n));
  if (!memory) return fail(memory.error());
  target.packed.weight = pack_weight(from, k, n, *memory);
  return {};
}

// Rows and columns of a matrix of `element` bytes a value, without gaps.
Status LinearReader::read_cut(const StoredTensor& tensor, const LinearCut& cut, int64_t element,
                              std::span<std::byte> to) {
  if (to.empty()) return {};
  if (whole_columns(cut)) return checkpoint_.read_rows(tensor, cut.rows.first, cut.rows.count, to);
  rows_.resize(static_cast<size_t>(cut.rows.count * cut.in * element));
  if (auto status = checkpoint_.read_rows(tensor, cut.rows.first, cut.rows.count, rows_); !status) return status;
  const auto bytes = static_cast<size_t>(cut.columns.count * element);
  for (int64_t row = 0; row < cut.rows.count; ++row) {
    const std::byte* from = rows_.data() + (row * cut.in + cut.columns.first) * element;
    std::memcpy(to.data() + static_cast<size_t>(row) * bytes, from, bytes);
  }
  return {};
}

Status LinearReader::load_floating(const std::vector<LinearCut>& cuts, Linear& target) {
  const int64_t k = cuts.front().columns.count;
  int64_t n = 0;
  for (const LinearCut& cut : cuts) {
    if (const auto tensor = find(cut.name + ".weight", {cut.out, cut.in}); !tensor) return fail(tensor.error());
    n += cut.rows.count;
  }
  buffer_.resize(dtype_bytes(model_.dtype, n * k));
  const auto element = static_cast<int64_t>(dtype_bytes(model_.dtype, 1));
  size_t done = 0;
  for (const LinearCut& cut : cuts) {
    const auto to = std::span(buffer_).subspan(done, dtype_bytes(model_.dtype, cut.rows.count * k));
    const StoredTensor& tensor = *checkpoint_.find(cut.name + ".weight");
    if (auto status = read_cut(tensor, cut, element, to); !status) return status;
    done += to.size();
  }
  return pack({buffer_.data(), model_.dtype, 1, k, 0}, model_.dtype, k, n, target);
}

Status LinearReader::read_w8(const LinearCut& cut, std::vector<int8_t>& values) {
  const auto tensor = checkpoint_.require(cut.name + ".weight", {cut.out, cut.in}, {DType::i8});
  if (!tensor) return fail(tensor.error());
  return read_cut(**tensor, cut, 1, std::as_writable_bytes(std::span(values)));
}

// Nibbles along k (one scale row) or along n (groups); the low one is the even index.
Status LinearReader::read_w4(const LinearCut& cut, std::vector<int8_t>& values) {
  const std::string name = cut.name + ".weight";
  const StoredTensor* stored = checkpoint_.find(name);
  const bool along_n =
      stored != nullptr && stored->shape.size() == 2 && stored->shape.back() == cut.in && cut.out % 2 == 0;
  const int64_t rows = along_n ? cut.out / 2 : cut.out;
  const int64_t columns = along_n ? cut.in : (cut.in + 1) / 2;
  const auto tensor = checkpoint_.require(name, {rows, columns}, {DType::i8, DType::u8});
  if (!tensor) return fail(tensor.error());
  std::vector<std::byte> packed(static_cast<size_t>(rows * columns));
  if (auto status = checkpoint_.read_rows(**tensor, 0, rows, packed); !status) return status;
  for (int64_t row = 0; row < cut.rows.count; ++row) {
    for (int64_t column = 0; column < cut.columns.count; ++column) {
      const int64_t r = cut.rows.first + row, c = cut.columns.first + column;
      const std::byte pair = packed[static_cast<size_t>(along_n ? r / 2 * columns + c : r * columns + c / 2)];
      const bool high = (along_n ? r : c) % 2 != 0;
      values[static_cast<size_t>(row * cut.columns.count + column)] = high ? high_nibble(pair) : low_nibble(pair);
    }
  }
  return {};
}

// [n, groups] of the file as [groups][n], for the rows and groups of the cut.
Status LinearReader::read_scales(const LinearCut& cut, Linear& target) {
  const StoredTensor* stored = checkpoint_.find(cut.name + ".weight_scale");
  const int64_t groups = stored != nullptr && stored->shape.size() == 2 ? stored->shape.back() : 1;
  const auto scale = checkpoint_.read_floats(cut.name + ".weight_scale", cut.out * groups);
  if (!scale) return fail(scale.error());
  const int64_t stated = description_.group_size();
  const int64_t group =
      groups == 1 ? 0 : (stated > 0 && (cut.in + stated - 1) / stated == groups ? stated : cut.in / groups);
  const bool fits = group == 0 || ((cut.in + group - 1) / group == groups && cut.columns.first % group == 0 &&
                                   (cut.columns.end() == cut.in || cut.columns.end() % group == 0));
  if (!fits) {
    return fail(ErrorCode::unsupported,
                fmt::format("checkpoint: {} has {} groups over {} inputs, ranks that hold whole "
                            "groups wanted",
                            cut.name, groups, cut.in));
  }
  std::vector<float> zero;
  if (checkpoint_.find(cut.name + ".weight_offset") != nullptr) {
    auto offset = checkpoint_.read_floats(cut.name + ".weight_offset", cut.out * groups);
    if (!offset) return fail(offset.error());
    if (std::any_of(offset->begin(), offset->end(), [](float value) { return value != 0; })) zero = std::move(*offset);
  }
  target.group = group;
  const int64_t first = group == 0 ? 0 : cut.columns.first / group;
  const int64_t count = group == 0 ? 1 : (cut.columns.count + group - 1) / group;
  std::vector<float> scales(static_cast<size_t>(count * cut.rows.count)), offsets(zero.empty() ? 0 : scales.size());
  for (int64_t g = 0; g < count; ++g) {
    for (int64_t row = 0; row < cut.rows.count; ++row) {
      const auto to = static_cast<size_t>(g * cut.rows.count + row);
      const auto from = static_cast<size_t>((cut.rows.first + row) * groups + first + g);
      scales[to] = (*scale)[from];
      if (!offsets.empty()) offsets[to] = -zero[from];  // the file subtracts what the kernel adds
    }
  }
  auto kept = keep(scales);
  if (!kept) return fail(kept.error());
  target.scale = *kept;
  if (offsets.empty()) return {};
  kept = keep(offsets);
  if (!kept) return fail(kept.error());
  target.offset = *kept;
  return {};
}

// f32 values, or words of 64 bits that hold them.
Expected<std::vector<float>> LinearReader::read_dequantisation(const LinearCut& cut) {
  const std::string name = cut.name + ".deq_scale";
  const StoredTensor* stored = checkpoint_.find(name);
  if (stored == nullptr || stored->dtype == DType::f32) return checkpoint_.read_floats(name, cut.out);
  const auto tensor = checkpoint_.require(name, {cut.out}, {DType::i64, DType::u64});
  if (!tensor) return fail(tensor.error());
  std::vector<uint64_t> words(static_cast<size_t>(cut.out));
  if (auto status = checkpoint_.read_rows(**tensor, 0, cut.out, std::as_writable_bytes(std::span(words))); !status) {
    return fail(status.error());
  }
  std::vector<float> values;
  for (const uint64_t word : words) values.push_back(float_from_bits(static_cast<uint32_t>(word)));
  return values;
}

Status LinearReader::read_static(const LinearCut& cut, Linear& target) {
  const auto scale = checkpoint_.read_floats(cut.name + ".input_scale", 1);
  if (!scale) return fail(scale.error());
  const auto offset = checkpoint_.read_floats(cut.name + ".input_offset", 1);
  if (!offset) return fail(offset.error());
  target.input_scale = scale->front();
  target.input_offset = offset->front();
  if (!(target.input_scale > 0)) {
    return fail(ErrorCode::malformed, fmt::format("checkpoint: {}.input_scale is {}, a positive number wanted",
                                                  cut.name, target.input_scale));
  }
  auto factors = read_dequantisation(cut);
  if (!factors) return fail(factors.error());
  const auto bias = checkpoint_.require(cut.name + ".quant_bias", {cut.out}, {DType::i32});
  if (!bias) return fail(bias.error());
  std::vector<int32_t> integers(static_cast<size_t>(cut.out));
  auto status = checkpoint_.read_rows(**bias, 0, cut.out, std::as_writable_bytes(std::span(integers)));
  if (!status) return status;
  std::vector<float> scales, row;
  for (auto at = static_cast<size_t>(cut.rows.first); at < static_cast<size_t>(cut.rows.end()); ++at) {
    scales.push_back((*factors)[at]);
    row.push_back(static_cast<float>(integers[at]) * (*factors)[at]);
  }
  auto kept = keep(scales);
  if (!kept) return fail(kept.error());
  target.scale = *kept;
  if (!cut.own_bias) return {};
  kept = keep(row);
  if (!kept) return fail(kept.error());
  target.bias = *kept;
  return {};
}

Status LinearReader::read_bias(const LinearCut& cut, Linear& target) {
  if (!cut.own_bias || checkpoint_.find(cut.name + ".bias") == nullptr) return {};
  const auto values = checkpoint_.read_floats(cut.name + ".bias", cut.out);
  if (!values) return fail(values.error());
  const auto kept = keep({values->begin() + cut.rows.first, values->begin() + cut.rows.end()});
  if (!kept) return fail(kept.error());
  target.bias = *kept;
  return {};
}

Status LinearReader::widen(const LinearCut& cut, const std::vector<int8_t>& values, Linear& target) {
  const int64_t k = cut.columns.count, n = cut.rows.count;
  buffer_.resize(dtype_bytes(model_.dtype, k * n));
  for (int64_t c = 0; c < n; ++c) {
    for (int64_t kk = 0; kk < k; ++kk) {
      const auto scale = static_cast<size_t>((target.group == 0 ? 0 : kk / target.group) * n + c);
      const auto at = static_cast<size_t>(c * k + kk);
      const float zero = target.offset == nullptr ? 0 : target.offset[scale];
      store_float_at(buffer_.data(), model_.dtype, at, (static_cast<float>(values[at]) + zero) * target.scale[scale]);
    }
  }
  target = Linear{.bias = target.bias};
  return pack({buffer_.data(), model_.dtype, 1, k, 0}, model_.dtype, k, n, target);
}

Status LinearReader::load_integers(const LinearCut& cut, LinearType type, Linear& target) {
  std::vector<int8_t> values(elements(cut));
  const bool four = type == LinearType::w4a16;
  if (auto status = four ? read_w4(cut, values) : read_w8(cut, values); !status) return status;
  const bool fixed = type == LinearType::w8a8;
  if (auto status = fixed ? read_static(cut, target) : read_scales(cut, target); !status) return status;
  if (fixed) target.kind = QuantKind::int8_static;
  if (!fixed) {
    if (auto status = read_bias(cut, target); !status) return status;
    target.kind = type == LinearType::w8a8_dynamic ? QuantKind::int8_dynamic : QuantKind::weight_only;
  }
  if (target.kind == QuantKind::int8_dynamic && (target.offset != nullptr || target.group != 0)) {
    return fail(ErrorCode::unsupported,
                fmt::format("checkpoint: {} has zero points or groups, one symmetric scale a row wanted", cut.name));
  }
  if (cut.float_weights && target.kind == QuantKind::weight_only) return widen(cut, values, target);
  const int64_t k = cut.columns.count, n = cut.rows.count;
  if (!four) return pack({values.data(), DType::i8, 1, k, 0}, DType::i8, k, n, target);
  buffer_.assign((values.size() + 1) / 2, std::byte{0});
  for (size_t i = 0; i < values.size(); ++i) {
    const auto nibble = static_cast<std::byte>((values[i] & 0xf) << (i % 2 * 4));
    buffer_[i / 2] |= nibble;
  }
  return pack({buffer_.data(), DType::i4, 1, k, 0}, DType::i4, k, n, target);
}

Status LinearReader::load(const LinearCut& cut, Linear& target) {
  const auto type = description_.type_of(cut.name);
  if (!type) return fail(type.error());
  if (*type != LinearType::floating) return load_integers(cut, *type, target);
  if (auto status = load_floating({cut}, target); !status) return status;
  return read_bias(cut, target);
}

Status LinearReader::load_side_by_side(const std::vector<LinearCut>& cuts, std::vector<Linear>& target) {
  bool plain = true;
  for (const LinearCut& cut : cuts) {
    const auto type = description_.type_of(cut.name);
    if (!type) return fail(type.error());
    plain = plain && *type == LinearType::floating && checkpoint_.find(cut.name + ".bias") == nullptr;
  }
  target.resize(plain ? 1 : cuts.size());
  if (plain) return load_floating(cuts, target.front());
  for (size_t i = 0; i < cuts.size(); ++i) {
    if (auto status = load(cuts[i], target[i]); !status) return status;
  }
  return {};
}

}  // namespace tandem
