// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tandem/llm/floats.h"
#include "tandem/llm/quantize_layer.h"

namespace tandem {
namespace {

// Rows that errors are measured on, spread over the calibration texts.
constexpr int64_t kErrorRows = 4096;
constexpr size_t kHistogramParts = 60;

Matrix sample(const Matrix& x) {
  if (x.rows <= kErrorRows) return x;
  Matrix some(kErrorRows, x.columns);
  for (int64_t row = 0; row < kErrorRows; ++row) {
    std::copy_n(x.row(row * x.rows / kErrorRows), x.columns, some.row(row));
  }
  return some;
}

float peak(const Matrix& x) {
  float most = 0;
  for (const float value : x.data) most = std::max(most, std::abs(value));
  return most;
}

}  // namespace

template <class T>
void LinearQuantizer::put(const std::string& name, LinearType type, DType dtype, std::vector<int64_t> shape,
                          const std::vector<T>& data) {
  const auto bytes = std::as_bytes(std::span(data));
  to_.tensors.push_back({{name, dtype, std::move(shape)}, linear_type_name(type), {bytes.begin(), bytes.end()}});
}

void LinearQuantizer::add_float(const std::string& name, const std::vector<int64_t>& shape,
                                std::span<const float> values, DType dtype) {
  std::vector<std::byte> data(dtype_bytes(dtype, static_cast<int64_t>(values.size())));
  for (size_t i = 0; i < values.size(); ++i) store_float_at(data.data(), dtype, i, values[i]);
  put(name, LinearType::floating, dtype, shape, data);
}

nlohmann::json& LinearQuantizer::new_row(LinearType type, const Matrix& x,
                                         const std::vector<const FloatLinear*>& linears) {
  std::vector<std::string> names;
  for (const FloatLinear* linear : linears) names.push_back(linear->name);
  const float most = peak(x);
  to_.report.push_back({{"name", fmt::format("{}", fmt::join(names, " "))},
                        {"type", linear_type_name(type)},
                        {"rows", x.rows},
                        {"absmax", most},
                        {"clip", most},
                        {"histogram", magnitude_histogram(x.data, most, kHistogramParts)}});
  return to_.report.back();
}

LinearQuantizer::Candidate LinearQuantizer::candidate(const Matrix& x, std::string name, float clip) const {
  float low = 0, high = 0;
  for (const float value : x.data) {
    low = std::min(low, std::max(value, -clip));
    high = std::max(high, std::min(value, clip));
  }
  return {std::move(name), clip, asymmetric_range(low, high), 0};
}

// No clamp and clamp_thr come first: the report names their errors beside that of the choice.
std::vector<LinearQuantizer::Candidate> LinearQuantizer::candidates(const Matrix& x, float threshold) const {
  std::vector<Candidate> list = {candidate(x, "none", peak(x)), candidate(x, "clamp_thr", threshold)};
  if (recipe_.clip == Clip::none) return {list.front()};
  if (recipe_.clip == Clip::percentile) return list;
  std::vector<double> factors = {0.5, 0.6, 0.7, 0.8, 0.9};
  if (recipe_.clip == Clip::mse) factors.insert(factors.end(), {1.25, 1.5, 2.0, 2.5, 3.0, 4.0});
  for (const double factor : factors) {
    const auto clip = static_cast<float>(factor * static_cast<double>(threshold));
    if (clip < list.front().clip) list.push_back(candidate(x, fmt::format("clamp_thr x {:g}", factor), clip));
  }
  return list;
}

void LinearQuantizer::add_static(const Matrix& x, const std::vector<const FloatLinear*>& linears) {
  const double share = recipe_.clip == Clip::percentile ? recipe_.quantile : 0.999;
  const float threshold = magnitude_quantile(x.data, share);
  auto list = candidates(x, threshold);
  const Matrix some = sample(x);
  std::vector<RoundedWeight> rounded;
  for (const FloatLinear* linear : linears) {
    rounded.push_back(round_weight(linear->weight, 8, 0));
    const Matrix wanted = math_.multiply(some, linear->weight);
    for (Candidate& one : list)
      one.error += mean_square(math_.multiply_static(some, one.range, rounded.back()), wanted);
  }
  const auto less = [](const Candidate& a, const Candidate& b) { return a.error < b.error; };
  const auto least = std::min_element(list.begin(), list.end(), less);
  const Candidate& chosen = recipe_.clip == Clip::percentile ? list[1] : *least;
  nlohmann::json& row = new_row(LinearType::w8a8, x, linears);
  row["clamp_thr"] = threshold;
  row["choice"] = chosen.name;
  row["clip"] = chosen.clip;
  row["mse"] = chosen.error;
  row["mse_none"] = list.front().error;
  if (list.size() > 1) row["mse_clamp_thr"] = list[1].error;
  for (size_t i = 0; i < linears.size(); ++i) put_static(*linears[i], rounded[i], chosen.range);
}

void LinearQuantizer::put_static(const FloatLinear& linear, const RoundedWeight& rounded, const Range8& range) {
  constexpr LinearType kType = LinearType::w8a8;
  std::vector<int32_t> bias;
  std::vector<float> factors;
  std::vector<int64_t> words;
  for (int64_t c = 0; c < rounded.n; ++c) {
    double sum = 0;
    for (int64_t k = 0; k < rounded.k; ++k) sum += rounded.values[static_cast<size_t>(c * rounded.k + k)];
    const float factor = range.scale * rounded.scale[static_cast<size_t>(c)];
    const double own = linear.bias.empty() ? 0 : static_cast<double>(linear.bias[static_cast<size_t>(c)]) / factor;
    const double total = std::nearbyint(own - static_cast<double>(range.offset) * sum);
    bias.push_back(static_cast<int32_t>(std::clamp(total, -2147483648.0, 2147483647.0)));
    factors.push_back(factor);
    words.push_back(static_cast<int32_t>(float_bits(factor)));
  }
  put(linear.name + ".weight", kType, DType::i8, {rounded.n, rounded.k}, rounded.values);
  put(linear.name + ".quant_bias", kType, DType::i32, {rounded.n}, bias);
  put(linear.name + ".input_scale", kType, DType::f32, {1}, std::vector<float>{range.scale});
  put(linear.name + ".input_offset", kType, DType::f32, {1}, std::vector<float>{range.offset});
  // Words of 64 bits for all but bf16 models.
  if (dtype_ == DType::bf16) return put(linear.name + ".deq_scale", kType, DType::f32, {rounded.n}, factors);
  put(linear.name + ".deq_scale", kType, DType::i64, {rounded.n}, words);
}

void LinearQuantizer::put_scaled(LinearType type, const FloatLinear& linear, const RoundedWeight& rounded) {
  const std::vector<int64_t> scales = {rounded.n, rounded.groups()};
  if (type == LinearType::w4a16 && rounded.groups() > 1) {
    put(linear.name + ".weight", type, DType::i8, {rounded.n / 2, rounded.k}, nibbles_along_n(rounded));
  } else if (type == LinearType::w4a16) {
    put(linear.name + ".weight", type, DType::i8, {rounded.n, (rounded.k + 1) / 2}, nibbles_along_k(rounded));
  } else {
    put(linear.name + ".weight", type, DType::i8, {rounded.n, rounded.k}, rounded.values);
  }
  put(linear.name + ".weight_scale", type, DType::f32, scales, rounded.scale);
  put(linear.name + ".weight_offset", type, DType::f32, scales, std::vector<float>(rounded.scale.size()));
  if (!linear.bias.empty()) add_float(linear.name + ".bias", {rounded.n}, linear.bias, dtype_);
}

void LinearQuantizer::add_scaled(LinearType type, const Matrix& x, const std::vector<const FloatLinear*>& linears) {
  const Matrix some = sample(x);
  const int64_t group = type == LinearType::w4a16 ? recipe_.form.group : 0;
  double error = 0;
  for (const FloatLinear* linear : linears) {
    const int64_t fits = group < linear->weight.columns ? group : 0;
    const RoundedWeight rounded = round_weight(linear->weight, type == LinearType::w4a16 ? 4 : 8, fits);
    const Matrix wanted = math_.multiply(some, linear->weight);
    const bool integers = type == LinearType::w8a8_dynamic;
    const Matrix got = integers ? math_.multiply_dynamic(some, rounded) : math_.multiply(some, value_of(rounded));
    error += mean_square(got, wanted);
    put_scaled(type, *linear, rounded);
  }
  new_row(type, x, linears)["mse"] = error;
}

Status LinearQuantizer::add(LinearType type, const Matrix& x, const std::vector<const FloatLinear*>& linears) {
  for (const FloatLinear* linear : linears) {
    const bool grouped = type == LinearType::w4a16 && recipe_.form.group > 0;
    const bool finite = std::all_of(linear->weight.data.begin(), linear->weight.data.end(),
                                    [](float value) { return std::isfinite(value); });
    if (!finite) {
      return fail(ErrorCode::malformed,
                  fmt::format("checkpoint: {}.weight holds NaN or infinity, numbers wanted", linear->name));
    }
    if (grouped && linear->weight.rows % 2 != 0) {
      return fail(ErrorCode::unsupported, fmt::format("checkpoint: {} has {} outputs, an even number wanted for groups",
                                                      linear->name, linear->weight.rows));
    }
  }
  if (type == LinearType::w8a8) {
    add_static(x, linears);
  } else {
    add_scaled(type, x, linears);
  }
  return {};
}

}  // namespace tandem
