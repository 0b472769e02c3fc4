// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>

#include "tandem/base/json.h"

namespace tandem {
namespace {

struct FormatType {
  std::string_view name;
  unsigned bits;
  DType dtype;
};

constexpr std::array kTypes = {
    FormatType{"F32", 32, DType::f32},     FormatType{"F16", 16, DType::f16},     FormatType{"BF16", 16, DType::bf16},
    FormatType{"BOOL", 8, DType::none},    FormatType{"U8", 8, DType::u8},        FormatType{"I8", 8, DType::i8},
    FormatType{"F8_E4M3", 8, DType::none}, FormatType{"F8_E5M2", 8, DType::none}, FormatType{"U16", 16, DType::u16},
    FormatType{"I16", 16, DType::i16},     FormatType{"U32", 32, DType::u32},     FormatType{"I32", 32, DType::i32},
    FormatType{"U64", 64, DType::u64},     FormatType{"I64", 64, DType::i64},     FormatType{"F64", 64, DType::f64}};

Expected<std::vector<uint64_t>> unsigned_list(const nlohmann::json& entry, const char* name) {
  const auto member = entry.find(name);
  if (member == entry.end() || !member->is_array()) {
    return fail(ErrorCode::malformed, fmt::format("{}: a list wanted", name));
  }
  std::vector<uint64_t> values;
  for (const nlohmann::json& item : *member) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > INT64_MAX) {
      return fail(ErrorCode::malformed, fmt::format("{} holds {}, whole numbers below 2^63 wanted", name, item.dump()));
    }
    values.push_back(item.get<uint64_t>());
  }
  return values;
}

// Bytes of `shape` elements of `bits` each; nothing when that overflows or is no whole number of bytes.
std::optional<uint64_t> shape_bytes(const std::vector<uint64_t>& shape, unsigned bits) {
  uint64_t total = bits;
  for (const uint64_t extent : shape) {
    if (__builtin_mul_overflow(total, extent, &total)) return std::nullopt;
  }
  if (total % 8 != 0) return std::nullopt;
  return total / 8;
}

Expected<StoredTensor> parse_entry(const nlohmann::json& entry) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry["dtype"].is_string()) {
    return fail(ErrorCode::malformed, "an object of dtype, shape and data_offsets wanted");
  }
  const auto shape = unsigned_list(entry, "shape");
  if (!shape) return fail(shape.error());
  const auto offsets = unsigned_list(entry, "data_offsets");
  if (!offsets) return fail(offsets.error());
  if (offsets->size() != 2 || offsets->front() > offsets->back()) {
    return fail(ErrorCode::malformed, "data_offsets: [begin, end] wanted");
  }
  StoredTensor tensor;
  tensor.dtype_text = entry["dtype"].get<std::string>();
  const auto same_name = [&](const FormatType& type) { return type.name == tensor.dtype_text; };
  const auto type = std::find_if(kTypes.begin(), kTypes.end(), same_name);
  if (type == kTypes.end()) return fail(ErrorCode::malformed, fmt::format("dtype {} is unknown", tensor.dtype_text));
  const auto bytes = shape_bytes(*shape, type->bits);
  const uint64_t given = offsets->back() - offsets->front();
  if (!bytes || *bytes != given) {
    return fail(ErrorCode::malformed, fmt::format("data_offsets span {} bytes, {} of its shape wanted", given,
                                                  bytes ? std::to_string(*bytes) : "an impossible number"));
  }
  tensor.dtype = type->dtype;
  tensor.shape.assign(shape->begin(), shape->end());
  tensor.offset = offsets->front();
  tensor.bytes = *bytes;
  return tensor;
}

Status check_metadata(const nlohmann::json& metadata) {
  const auto is_text = [](const nlohmann::json& item) { return item.is_string(); };
  if (metadata.is_object() && std::all_of(metadata.begin(), metadata.end(), is_text)) return {};
  return fail(ErrorCode::malformed, "__metadata__: an object of texts wanted");
}

Status check_tiling(const StoredTensors& tensors, uint64_t data_bytes) {
  std::vector<std::tuple<uint64_t, uint64_t, std::string_view>> spans;
  for (const auto& [name, tensor] : tensors) spans.emplace_back(tensor.offset, tensor.offset + tensor.bytes, name);
  std::sort(spans.begin(), spans.end());
  uint64_t end = 0;
  for (const auto& [begin, stop, name] : spans) {
    if (begin != end) {
      return fail(ErrorCode::malformed,
                  fmt::format("tensor {} begins at {}, {} wanted (no hole, no overlap)", name, begin, end));
    }
    end = stop;
  }
  if (end == data_bytes) return {};
  return fail(ErrorCode::malformed, fmt::format("tensors end at {}, {} bytes of data given", end, data_bytes));
}

}  // namespace

Expected<uint64_t> safetensors_header_bytes(std::span<const std::byte, kSafetensorsPrefix> prefix,
                                            uint64_t file_bytes) {
  uint64_t length = 0;
  for (size_t i = prefix.size(); i-- > 0;) length = length << 8 | std::to_integer<uint64_t>(prefix[i]);
  const uint64_t most = std::min(kSafetensorsMaxHeader, file_bytes - prefix.size());
  if (length <= most) return length;
  return fail(ErrorCode::malformed, fmt::format("header of {} bytes, at most {} wanted", length, most));
}

Expected<StoredTensors> parse_safetensors_header(std::string_view text, uint64_t data_bytes) {
  const auto header = parse_json(text, "header");
  if (!header) return fail(header.error());
  if (!header->is_object()) return fail(ErrorCode::malformed, "header: an object wanted");
  StoredTensors tensors;
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__") {
      if (auto status = check_metadata(entry); !status) return fail(status.error());
      continue;
    }
    auto tensor = parse_entry(entry);
    if (!tensor) return fail(tensor.error().code, fmt::format("tensor {}: {}", name, tensor.error().message));
    tensors.emplace(name, std::move(*tensor));
  }
  if (auto status = check_tiling(tensors, data_bytes); !status) return fail(status.error());
  return tensors;
}

}  // namespace tandem
