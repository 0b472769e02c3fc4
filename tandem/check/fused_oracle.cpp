// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/fused_oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tandem::fused {
namespace {

constexpr double kV = 0x1p-24;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double gamma_of(double length) { return length * kV / (1 - length * kV); }

double subnormal_spacing(DType dtype) {
  if (dtype == DType::f16) return 0x1p-24;
  return dtype == DType::bf16 ? 0x1p-133 : 0x1p-149;
}

// The least magnitude that rounds to infinity.
double overflow_limit(DType dtype) {
  if (dtype == DType::f16) return 65520.0;
  return dtype == DType::bf16 ? 0x1.ffp127 : 0x1.ffffffp127;
}

// What rounding a value of that magnitude to nearest may move it: at most unit_roundoff() of it.
double half_spacing(DType dtype, double magnitude) {
  const double spacing = magnitude > 0 ? std::ldexp(unit_roundoff(dtype), std::ilogb(magnitude)) : 0;
  return std::max(spacing, subnormal_spacing(dtype) / 2);
}

struct Sums {
  std::vector<double> value, magnitude;
};

size_t at(int64_t row, int64_t col, int64_t cols) { return static_cast<size_t>(row * cols + col); }

// W' in double: what a weight stands for, without the per-token factor.
std::vector<double> dequantised(const Problem& p, const RankData& data) {
  const Stored& x2 = operand(data, "x2");
  const Stored& scale = operand(data, "scale");
  const Stored& offset = operand(data, "offset");
  std::vector<double> weights(static_cast<size_t>(p.k * p.n));
  for (int64_t kk = 0; kk < p.k; ++kk) {
    const int64_t g = p.scales == "group" ? kk / p.group : 0;
    for (int64_t c = 0; c < p.n; ++c) {
      const int64_t j = p.scales == "tensor" ? 0 : c;
      const double shifted = x2.at(kk, c) + (offset.present() ? offset.at(g, j) : 0);
      weights[at(kk, c, p.n)] = shifted * (scale.present() ? scale.at(g, j) : 1);
    }
  }
  return weights;
}

void add_products(const Problem& p, const RankData& data, Sums& sums) {
  const std::vector<double> weights = dequantised(p, data);
  const Stored& x1 = operand(data, "x1");
  const Stored& token = operand(data, "token");
  for (int64_t row = 0; row < p.m; ++row) {
    const double factor = token.present() ? token.at(0, row) : 1;
    double* value = sums.value.data() + row * p.n;
    double* magnitude = sums.magnitude.data() + row * p.n;
    for (int64_t kk = 0; kk < p.k; ++kk) {
      const double x = x1.at(row, kk) * factor;
      const double* w = weights.data() + kk * p.n;
      for (int64_t c = 0; c < p.n; ++c) value[c] += x * w[c];
      for (int64_t c = 0; c < p.n; ++c) magnitude[c] += std::fabs(x * w[c]);
    }
  }
}

double bias_of(const Problem& p, const RankData& data, int64_t row, int64_t col) {
  const double bias = operand(data, "bias").at(0, col);
  if (!p.integer()) return bias;
  const Stored& scale = operand(data, "scale");
  const Stored& token = operand(data, "token");
  return bias * scale.at(0, scale.cols == 1 ? 0 : col) * (token.present() ? token.at(0, row) : 1);
}

void add_terms(const Problem& p, const RankData& data, Sums& sums) {
  const bool bias = operand(data, "bias").present();
  const Stored& x3 = operand(data, "x3");
  if (!bias && !x3.present()) return;
  for (int64_t row = 0; row < p.m; ++row) {
    for (int64_t c = 0; c < p.n; ++c) {
      const double b = bias ? bias_of(p, data, row, c) : 0;
      const double x = x3.present() ? x3.at(row, c) : 0;
      sums.value[at(row, c, p.n)] += b + x;
      sums.magnitude[at(row, c, p.n)] += std::fabs(b) + std::fabs(x);
    }
  }
}

// The value a result has, and how far it may lie from it before it is rounded.
struct Spread {
  double value = 0, error = 0;
};

double sat8(double value) { return std::clamp(std::nearbyint(value), -128.0, 127.0); }

// What int8 may come of a value, times a scale.
struct Steps {
  double low = 0, high = 0;
  Steps& operator+=(const Steps& other) { return low += other.low, high += other.high, *this; }
};
Steps steps_of(double low, double high) {
  const double slack = 4 * kV;
  return {sat8(low - slack * std::fabs(low)), sat8(high + slack * std::fabs(high))};
}

// int8 between ranks: every rounding may go either way where its argument's error reaches a tie.
Spread through_wire(std::span<const Spread> partials, double first, double second) {
  Steps sum;
  for (const Spread& p : partials) sum += steps_of((p.value - p.error) / first, (p.value + p.error) / first);
  const Steps a = steps_of(sum.low * (first / second), sum.high * (first / second));
  const double middle = (a.low + a.high) / 2 * second;
  return {middle, (a.high - a.low) / 2 * second + kV * std::fabs(middle)};
}

Spread product_of(std::span<const Spread> partials) {
  double value = 1, magnitude = 1, reach = 1;
  for (const Spread& p : partials) {
    value *= p.value;
    magnitude *= std::fabs(p.value);
    reach *= (std::fabs(p.value) + p.error) * (1 + kV);
  }
  return {value, reach - magnitude};
}

Spread extreme_of(std::span<const Spread> partials, double sign) {
  Spread result{-sign * kInfinity, 0};
  for (const Spread& p : partials) {
    result.value = sign * std::max(sign * result.value, sign * p.value);
    result.error = std::max(result.error, p.error);
  }
  return result;
}

Spread average_of(std::span<const Spread> partials) {
  Spread result;
  double magnitude = 0;
  const auto count = static_cast<double>(partials.size());
  for (const Spread& p : partials) {
    result.value += p.value / count;
    result.error += p.error / count;
    magnitude += std::fabs(p.value) / count;
  }
  result.error += (count + 2) * kV * magnitude;
  return result;
}

Spread reduced(const Problem& p, std::span<const Spread> partials, const RankData& own, int64_t col) {
  if (p.wire) return through_wire(partials, operand(own, "first").at(0, col), operand(own, "second").at(0, col));
  if (p.reduction == "prod") return product_of(partials);
  if (p.reduction == "avg") return average_of(partials);
  return extreme_of(partials, p.reduction == "max" ? 1 : -1);
}

// What the ranks' sums come to under another reduction; the error of a value stands in place of its magnitude.
Sums reduce_partials(const Problem& p, std::span<const RankData> ranks, double g, int rank) {
  const size_t count = static_cast<size_t>(p.m * p.n);
  std::vector<Sums> partials;
  for (const RankData& data : ranks) {
    Sums& sums = partials.emplace_back(Sums{std::vector<double>(count), std::vector<double>(count)});
    add_products(p, data, sums);
    add_terms(p, data, sums);
  }
  Sums result{std::vector<double>(count), std::vector<double>(count)};
  std::vector<Spread> spreads(ranks.size());
  for (size_t i = 0; i < count; ++i) {
    for (size_t r = 0; r < spreads.size(); ++r) spreads[r] = {partials[r].value[i], g * partials[r].magnitude[i]};
    const Spread whole = reduced(p, spreads, ranks[static_cast<size_t>(rank)], static_cast<int64_t>(i) % p.n);
    result.value[i] = whole.value;
    result.magnitude[i] = whole.error;
  }
  return result;
}

Sums sum_partials(const Problem& p, std::span<const RankData> ranks, double g) {
  const size_t count = static_cast<size_t>(p.m * p.n);
  Sums sums{std::vector<double>(count), std::vector<double>(count)};
  for (const RankData& data : ranks) {
    add_products(p, data, sums);
    add_terms(p, data, sums);
  }
  for (double& magnitude : sums.magnitude) magnitude *= g;
  return sums;
}

// What y overflows to in the output type; the norm of such a row follows IEEE arithmetic.
double stored_limit(DType dtype, double value) {
  return std::fabs(value) >= overflow_limit(dtype) ? std::copysign(kInfinity, value) : value;
}

void normalise_row(const Problem& p, const Stored& gamma, int64_t row, Reference& result) {
  const double u = unit_roundoff(p.output);
  double squares = 0, errors = 0;
  for (int64_t c = 0; c < p.n; ++c) {
    const double y = stored_limit(p.output, result.y[at(row, c, p.n)]);
    squares += y * y;
    errors += result.y_bound[at(row, c, p.n)] * result.y_bound[at(row, c, p.n)];
  }
  const double count = static_cast<double>(p.n);
  const double rms = std::sqrt(squares / count + static_cast<float>(p.epsilon));
  const double spread = std::sqrt(errors / count);
  for (int64_t c = 0; c < p.n; ++c) {
    const size_t i = at(row, c, p.n);
    const double y = stored_limit(p.output, result.y[i]);
    const double g = gamma.at(0, c);
    result.norm[i] = y * (1 / rms) * g;
    const double drift = std::fabs(g) * (result.y_bound[i] / rms + std::fabs(y) / rms / rms * spread);
    const double own = (3 * u + 0x1p-21 + (count + 8) * kV) * std::fabs(result.norm[i]);
    result.norm_bound[i] = 1.05 * (drift + own) + subnormal_spacing(p.output);
  }
}

bool agrees(DType dtype, double got, double wanted, double bound) {
  if (std::isnan(wanted)) return std::isnan(got);
  const double limit = overflow_limit(dtype);
  if (std::isinf(got)) return std::signbit(got) == std::signbit(wanted) && std::fabs(wanted) + bound >= limit;
  return std::fabs(got - wanted) <= bound;
}

}  // namespace

double unit_roundoff(DType dtype) {
  if (dtype == DType::f16) return 0x1p-11;
  return dtype == DType::bf16 ? 0x1p-8 : 0x1p-24;
}

Reference reference(const Problem& p, std::span<const RankData> ranks, int rank) {
  const size_t count = static_cast<size_t>(p.m * p.n);
  const double g = gamma_of(static_cast<double>(p.k) + 32);
  Sums sums = p.own_terms() ? reduce_partials(p, ranks, g, rank) : sum_partials(p, ranks, g);
  const RankData& own = ranks[static_cast<size_t>(rank)];
  const Stored& residual = operand(own, "residual");
  Reference result{std::move(sums.value), std::vector<double>(count), {}, {}};
  for (size_t i = 0; i < count; ++i) {
    const auto index = static_cast<int64_t>(i);
    const double r = residual.present() ? residual.at(index / p.n, index % p.n) : 0;
    result.y[i] += r;
    const double chain = sums.magnitude[i] + g * std::fabs(r);
    const double rounding = half_spacing(p.output, std::fabs(result.y[i]) + chain);
    result.y_bound[i] = 1.05 * (chain + rounding) + subnormal_spacing(p.output);
  }
  if (!p.tail) return result;
  result.norm.resize(count);
  result.norm_bound.resize(count);
  for (int64_t row = 0; row < p.m; ++row) normalise_row(p, operand(own, "gamma"), row, result);
  return result;
}

std::string compare(DType dtype, std::span<const std::byte> got, std::span<const double> wanted,
                    std::span<const double> bound, bool varied, const char* name) {
  double signed_error = 0, magnitude = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double value = load(dtype, got.data(), static_cast<int64_t>(i));
    if (!agrees(dtype, value, wanted[i], bound[i])) {
      return fmt::format("{}[{}] = {}, {} +- {} wanted", name, i, value, wanted[i], bound[i]);
    }
    if (!std::isfinite(value)) continue;
    signed_error += value - wanted[i];
    magnitude += std::fabs(wanted[i]);
  }
  // Fewer elements do not average out; f32 results carry the sums' own drift.
  const bool averaged = varied && wanted.size() >= 512 && dtype != DType::f32;
  if (averaged && std::fabs(signed_error) > unit_roundoff(dtype) / 4 * magnitude) {
    return fmt::format("{}: mean signed error {} of mean magnitude {}", name, signed_error, magnitude);
  }
  return {};
}

std::string compare_result(const Problem& p, const Reference& wanted, std::span<const std::byte> y,
                           std::span<const std::byte> norm) {
  const bool varied = p.values.empty();
  std::string text = compare(p.output, y, wanted.y, wanted.y_bound, varied, "y");
  if (!text.empty() || !p.tail) return text;
  return compare(p.output, norm, wanted.norm, wanted.norm_bound, varied, "norm");
}

}  // namespace tandem::fused
