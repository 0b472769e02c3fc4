// SPDX-License-Identifier: Apache-2.0
#include "bench/gemm_operands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tandem/exec/team.h"
#include "tandem/kernels/pack.h"
#include "tandem/kernels/table.h"

namespace tandem::bench {

std::string GemmKind::types() const { return fmt::format("{}x{}", dtype_name(x), dtype_name(w)); }

std::string GemmKind::detail() const {
  if (!weight_only() && !(integer() && w == DType::i4)) return integer() ? "column scale, token scale" : "";
  const std::string scales = group > 0 ? fmt::format("group {}", group) : "column scale";
  if (integer()) return scales + ", token scale";
  return scales + (offset == "none" ? "" : fmt::format(", {} offset", offset));
}

GemmOperands::GemmOperands(const GemmKind& kind, int64_t most_rows, size_t pool_bytes)
    : kind_(kind), most_rows_(most_rows), x_(kind.x, most_rows * kind.k), w_(kind.w, kind.k * kind.n) {
  fill_all();
  lay_out(pool_bytes);
}

namespace {

// Extremes where the sample looks: -128 * -128 and +-127 beside each other in row 0 and column 0, int4's -8.
void plant(Values& x, Values& w, int64_t k, int64_t n) {
  for (int64_t kk = 0; kk < std::min<int64_t>(k, 128); ++kk) {
    const float sign = kk % 2 == 0 ? 1.0f : -1.0f;
    const float wide = kk < 64 ? -128.0f : 127 * sign;
    if (!is_float(x.dtype)) x.set(kk, wide);
    if (w.dtype == DType::i8) w.set(kk * n, wide);
    if (w.dtype == DType::i4) w.set(kk * n, kk < 64 ? -8.0f : 7 * sign);
  }
}

}  // namespace

void GemmOperands::fill_all() {
  Random random{static_cast<uint64_t>(kind_.k * 31 + kind_.n)};
  fill(x_, random);
  fill(w_, random);
  plant(x_, w_, kind_.k, kind_.n);
  const int64_t groups = kind_.group > 0 ? (kind_.k + kind_.group - 1) / kind_.group : 1;
  const bool scaled = kind_.weight_only() || (kind_.integer() && kind_.w == DType::i4);
  const DType type = kind_.integer() ? DType::f16 : kind_.x;
  if (scaled) {
    scale_ = Values(type, groups * kind_.n);
    fill(scale_, random, -10, -6);
  } else if (kind_.integer()) {
    dequant_ = Values(DType::f32, kind_.n);
    fill(dequant_, random, -10, -6);
  }
  if (kind_.weight_only() && kind_.offset != "none") {
    offset_ = Values(type, groups * kind_.n);
    const int range = kind_.w == DType::i4 ? 8 : 64;
    for (int64_t i = 0; i < offset_.count; ++i) {
      const auto whole = static_cast<float>(random.below(2 * range) - range) + 1;
      offset_.set(i, kind_.offset == "real" ? whole + static_cast<float>(random.below(16)) / 16 : whole);
    }
  }
  if (kind_.integer()) {
    token_ = Values(DType::f32, most_rows_);
    fill(token_, random, -8, -4);
  }
}

void GemmOperands::lay_out(size_t pool_bytes) {
  const int64_t k = kind_.k, n = kind_.n;
  const Weight row{w_.data(), kind_.w, n, 1, 0};
  weight_bytes_ = kind_.layout == "packed" ? packed_bytes(kind_.w, k, n) : dtype_bytes(kind_.w, k * n);
  scale_at_ = (weight_bytes_ + 63) / 64 * 64;
  offset_at_ = (scale_at_ + scale_.bytes.size() + 63) / 64 * 64;
  std::vector<uint8_t> block((offset_at_ + offset_.bytes.size() + 63) / 64 * 64);
  if (kind_.layout == "packed") {
    view_ = pack_weight(row, k, n, block.data());
  } else if (kind_.layout == "transposed") {
    Values turned(kind_.w, k * n);
    for (int64_t kk = 0; kk < k; ++kk) {
      for (int64_t c = 0; c < n; ++c) turned.set(c * k + kk, w_.get(kk * n + c));
    }
    std::memcpy(block.data(), turned.data(), weight_bytes_);
    view_ = {nullptr, kind_.w, 1, k, 0};
  } else {
    std::memcpy(block.data(), w_.data(), weight_bytes_);
    view_ = {nullptr, kind_.w, n, 1, 0};
  }
  std::copy(scale_.bytes.begin(), scale_.bytes.end(), block.begin() + static_cast<ptrdiff_t>(scale_at_));
  std::copy(offset_.bytes.begin(), offset_.bytes.end(), block.begin() + static_cast<ptrdiff_t>(offset_at_));
  pool_ = std::make_unique<Pool>(block.data(), block.size(), pool_bytes);
}

GemmArgs GemmOperands::next(int64_t m) {
  const uint8_t* block = pool_->next();
  const int64_t stride_group = kind_.group > 0 ? kind_.n : 0;
  GemmArgs args;
  args.m = m, args.n = kind_.n, args.k = kind_.k;
  args.x = x_.data();
  args.x_row_bytes = static_cast<int64_t>(dtype_bytes(kind_.x, kind_.k));
  args.x_dtype = kind_.x;
  args.w = view_;
  args.w.data = block;
  args.group = kind_.group;
  if (scale_.count > 0) args.scale = {block + scale_at_, scale_.dtype, stride_group, 1};
  if (offset_.count > 0) args.offset = {block + offset_at_, offset_.dtype, stride_group, 1};
  if (dequant_.count > 0) args.dequant = {dequant_.data(), DType::f32, 0, 1};
  if (token_.count > 0) args.token = token_.as<float>();
  return args;
}

namespace {

// The first, the last and some between, without repeats and rising.
std::vector<int64_t> some_of(int64_t count, int64_t wanted, uint64_t seed) {
  Random random{seed};
  std::vector<int64_t> chosen = {0, count - 1};
  while (static_cast<int64_t>(chosen.size()) < wanted) chosen.push_back(random.below(count));
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

Values columns_of(const Values& from, int64_t n, const std::vector<int64_t>& columns) {
  if (from.count == 0) return {};
  const int64_t rows = from.count / n, width = static_cast<int64_t>(columns.size());
  Values to(from.dtype, rows * width);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < width; ++c) to.set(r * width + c, from.get(r * n + columns[static_cast<size_t>(c)]));
  }
  return to;
}

std::vector<float> run_sample(const KernelTable& table, const GemmOperands::Sample& sample) {
  ThreadTeam team(1);
  Scratch scratch;
  Lane lane{&team, nullptr, &scratch};
  std::vector<float> y(sample.rows.size() * sample.columns.size());
  GemmArgs args = sample.args;
  args.y = y.data();
  args.y_row_bytes = args.n * 4;
  table.gemm.run(args, lane);
  return y;
}

}  // namespace

const GemmOperands::Sample& GemmOperands::sample(int64_t m, int leaves, Math math) {
  const std::string key = fmt::format("{} {} {}", m, leaves, static_cast<int>(math));
  const auto found = samples_.find(key);
  return found != samples_.end() ? found->second : samples_.emplace(key, make_sample(m, leaves, math)).first->second;
}

void GemmOperands::gather(Sample& s) const {
  s.w = columns_of(w_, kind_.n, s.columns);
  s.scale = columns_of(scale_, kind_.n, s.columns);
  s.offset = columns_of(offset_, kind_.n, s.columns);
  s.dequant = columns_of(dequant_, kind_.n, s.columns);
  for (const int64_t row : s.rows) {
    s.x_rows.push_back(x_.bytes.data() + dtype_bytes(kind_.x, row * kind_.k));
    if (token_.count > 0) s.token.push_back(token_.get(row));
  }
}

GemmOperands::Sample GemmOperands::make_sample(int64_t m, int leaves, Math math) const {
  Sample s;
  s.rows = some_of(m, 6, 7);
  s.columns = some_of(kind_.n, 48, 9);
  gather(s);
  const auto width = static_cast<int64_t>(s.columns.size());
  const int64_t stride_group = kind_.group > 0 ? width : 0;
  GemmArgs& a = s.args;
  a.m = static_cast<int64_t>(s.rows.size()), a.n = width, a.k = kind_.k;
  a.leaves = leaves;
  a.math = math;
  a.x_rows = s.x_rows.data();
  a.x_dtype = kind_.x;
  a.w = {s.w.data(), kind_.w, width, 1, 0};
  a.group = kind_.group;
  if (s.scale.count > 0) a.scale = {s.scale.data(), s.scale.dtype, stride_group, 1};
  if (s.offset.count > 0) a.offset = {s.offset.data(), s.offset.dtype, stride_group, 1};
  if (s.dequant.count > 0) a.dequant = {s.dequant.data(), DType::f32, 0, 1};
  if (!s.token.empty()) a.token = s.token.data();
  s.exact = run_sample(*find_table("reference"), s);
  s.portable = run_sample(*find_table("portable"), s);
  for (size_t i = 0; i < s.exact.size(); ++i) {
    s.allowed.push_back(allowed_error(s, i / s.columns.size(), i % s.columns.size(), static_cast<double>(s.exact[i])));
  }
  return s;
}

// The a-priori bound: gamma_k * sum |x||w'| for products summed in f32 in any order (integer sums are exact, so only
// the runs' values count), one rounding of the oracle and of the result, and in fast mode the activations' rounding to
// 16 bits of the largest of its run, where w and offset may be summed apart.
double GemmOperands::allowed_error(const Sample& s, size_t row, size_t column, double exact) const {
  constexpr double kUnit = 0x1p-24;
  const auto width = static_cast<int64_t>(s.columns.size());
  const bool fast = s.args.math == Math::fast;
  double products = 0, run_sum = 0, runs = 0, run_weights = 0, run_top = 0, rounding = 0, run_count = 0;
  int leaf = 0;
  const auto close_run = [&] {
    runs += std::fabs(run_sum), rounding += run_top / 32000 * 0.55 * run_weights, ++run_count;
    run_sum = run_weights = run_top = 0;
  };
  for (int64_t kk = 0; kk < kind_.k; ++kk) {
    const int64_t group = kind_.group > 0 ? kk / kind_.group : 0;
    while (leaf + 1 < s.args.leaves && kk >= (leaf + 1) * kind_.k / s.args.leaves) ++leaf, close_run();
    if (kind_.group > 0 && kk % kind_.group == 0 && kk > 0) close_run();
    const int64_t place = group * width + static_cast<int64_t>(column);
    const double stored = static_cast<double>(s.w.get(kk * width + static_cast<int64_t>(column)));
    const double offset = s.offset.count > 0 ? static_cast<double>(s.offset.get(place)) : 0;
    double scale = s.scale.count > 0 ? static_cast<double>(s.scale.get(place)) : 1;
    if (s.dequant.count > 0) scale *= static_cast<double>(s.dequant.get(static_cast<int64_t>(column)));
    if (!s.token.empty()) scale *= static_cast<double>(s.token[row]);
    const double x = static_cast<double>(x_.get(s.rows[row] * kind_.k + kk));
    const double weight = fast ? (std::fabs(stored) + std::fabs(offset)) * scale : (stored + offset) * scale;
    products += std::fabs(x * weight), run_sum += x * weight;
    run_weights += std::fabs(weight), run_top = std::max(run_top, std::fabs(x));
  }
  close_run();
  const auto depth = static_cast<double>(kind_.k);
  const double steps = (kind_.integer() ? run_count : fast ? depth / 16 : depth) + 16;
  const double gamma = steps * kUnit / (1 - steps * kUnit);
  const double sums = gamma * (kind_.integer() ? runs : products) + (fast ? rounding : 0);
  return 1.05 * (sums + 2 * kUnit * std::fabs(exact)) + 0x1p-149;
}

Verdict verify_gemm(const GemmOperands::Sample& sample, const float* y, int64_t n, bool compare_bits) {
  Verdict verdict;
  bool same = true;
  for (size_t i = 0; i < sample.exact.size(); ++i) {
    const int64_t row = sample.rows[i / sample.columns.size()], column = sample.columns[i % sample.columns.size()];
    const float value = y[row * n + column];
    const double error = std::fabs(static_cast<double>(value) - static_cast<double>(sample.exact[i]));
    if (!(error <= sample.allowed[i])) {
      verdict.complaint = fmt::format("row {} column {}: {} where {} +- {:.3g} is right", row, column, value,
                                      sample.exact[i], sample.allowed[i]);
      return verdict;
    }
    verdict.worst = std::max(verdict.worst, error / sample.allowed[i]);
    same = same && std::memcmp(&value, &sample.portable[i], sizeof value) == 0;
  }
  if (compare_bits && !same) {
    verdict.complaint = "bits differ from table portable";
    return verdict;
  }
  if (compare_bits) verdict.bits = "portable";
  verdict.verified = true;
  return verdict;
}

}  // namespace tandem::bench
