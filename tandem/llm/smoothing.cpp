// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/smoothing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "tandem/llm/elementary.h"

namespace tandem {
namespace {

constexpr float kFloor = 1e-5f;
constexpr int kSteps = 20;
constexpr double kMost = std::numeric_limits<double>::infinity();

struct Named {
  std::string_view text;
  Smoothing how;
};
constexpr std::array kNames = {Named{"none", Smoothing::none}, Named{"m1", Smoothing::m1}, Named{"m3", Smoothing::m3},
                               Named{"m4", Smoothing::m4}, Named{"m6", Smoothing::m6}};

float power(float base, double exponent) {
  return static_cast<float>(elementary::exp(exponent * elementary::log(static_cast<double>(base))));
}

// Channels that stay zero keep their place.
std::vector<float> ratio(const std::vector<float>& a, const std::vector<float>& w, double alpha, double beta) {
  std::vector<float> s(a.size(), 1.0f);
  for (size_t j = 0; j < a.size(); ++j) {
    if (a[j] > 0) s[j] = std::max(power(std::max(a[j], 1e-30f), alpha) / power(w[j], beta), kFloor);
  }
  return s;
}

class Search {
 public:
  Search(const Matrix& x, const std::vector<const Matrix*>& weights, const WeightForm& form, const LayerMath& math)
      : x_(x), weights_(weights), form_(form), math_(math) {
    for (const Matrix* weight : weights) wanted_.push_back(math.multiply(x, *weight));
  }

  // Error of the layers' outputs with columns scaled by s; with activations in int8, or as they are.
  double error(std::span<const float> s, bool integers) const {
    Matrix x = x_;
    scale_columns(x, s, true);
    double sum = 0;
    for (size_t i = 0; i < weights_.size(); ++i) {
      Matrix weight = *weights_[i];
      scale_columns(weight, s, false);
      const RoundedWeight rounded = round_weight(weight, form_.bits, form_.group);
      const bool plain = integers && form_.bits == 8 && form_.group == 0;
      const Matrix y = plain ? math_.multiply_dynamic(x, rounded) : math_.multiply(x, value_of(rounded));
      sum += mean_square(y, wanted_[i]);
    }
    return sum;
  }

 private:
  const Matrix& x_;
  const std::vector<const Matrix*>& weights_;
  const WeightForm& form_;
  const LayerMath& math_;
  std::vector<Matrix> wanted_;
};

std::vector<float> awq(const Search& search, const Matrix& x) {
  std::vector<double> mean(static_cast<size_t>(x.columns));
  for (int64_t row = 0; row < x.rows; ++row) {
    for (size_t j = 0; j < mean.size(); ++j) mean[j] += std::abs(x.row(row)[j]);
  }
  std::vector<float> best(mean.size(), 1.0f);
  double least = kMost;
  for (int step = 0; step <= kSteps; ++step) {
    std::vector<float> s;
    for (const double sum : mean) {
      const auto value = static_cast<float>(sum / static_cast<double>(std::max<int64_t>(x.rows, 1)));
      s.push_back(std::max(power(std::max(value, 1e-30f), static_cast<double>(step) / kSteps), 1e-4f));
    }
    const auto [low, high] = std::minmax_element(s.begin(), s.end());
    const float middle = std::sqrt(*low * *high);
    for (float& value : s) value /= middle;
    if (const double error = search.error(s, false); error < least) {
      least = error;
      best = s;
    }
  }
  return best;
}

std::vector<float> flexible(const Search& search, const std::vector<float>& a, const std::vector<float>& w) {
  std::vector<float> best(a.size(), 1.0f);
  double least = kMost, alpha = 0;
  const auto consider = [&](double al, double be) {
    auto s = ratio(a, w, al, be);
    const double error = search.error(s, true);
    if (error >= least) return false;
    least = error;
    best = std::move(s);
    return true;
  };
  for (int step = 0; step <= kSteps; ++step) {
    const double al = static_cast<double>(step) / kSteps;
    if (consider(al, 1 - al)) alpha = al;
  }
  for (int step = 0; step <= kSteps; ++step) consider(alpha, static_cast<double>(step) / kSteps);
  return best;
}

}  // namespace

Expected<Smoothing> parse_smoothing(std::string_view text) {
  const auto named = std::find_if(kNames.begin(), kNames.end(), [&](const Named& name) { return name.text == text; });
  if (named != kNames.end()) return named->how;
  return fail(ErrorCode::invalid_argument, fmt::format("--smooth {}, none, m1, m3, m4 or m6 wanted", text));
}

std::vector<float> column_peaks(const Matrix& x) {
  std::vector<float> peaks(static_cast<size_t>(x.columns));
  for (int64_t row = 0; row < x.rows; ++row) {
    for (size_t j = 0; j < peaks.size(); ++j) peaks[j] = std::max(peaks[j], std::abs(x.row(row)[j]));
  }
  return peaks;
}

void scale_columns(Matrix& matrix, std::span<const float> scale, bool divide) {
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (size_t j = 0; j < scale.size(); ++j) {
      float& value = matrix.row(row)[j];
      value = divide ? value / scale[j] : value * scale[j];
    }
  }
}

void divide_rows(Matrix& matrix, std::span<const float> scale) {
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t j = 0; j < matrix.columns; ++j) matrix.row(row)[j] /= scale[static_cast<size_t>(row)];
  }
}

std::vector<float> smooth_scales(Smoothing how, const Matrix& x, const std::vector<const Matrix*>& weights,
                                 std::span<const float> peaks, const WeightForm& form, const LayerMath& math) {
  std::vector<float> w(static_cast<size_t>(x.columns), kFloor);
  const auto include = [&](std::span<const float> more) {
    for (size_t j = 0; j < more.size(); ++j) w[j] = std::max(w[j], more[j]);
  };
  include(peaks);
  for (const Matrix* weight : weights) include(column_peaks(*weight));
  const std::vector<float> a = column_peaks(x);
  if (how == Smoothing::m1) return ratio(a, w, 0.5, 0.5);
  if (how == Smoothing::m4) return ratio(a, w, 0.9, 0.1);
  const Search search(x, weights, form, math);
  return how == Smoothing::m3 ? awq(search, x) : flexible(search, a, w);
}

}  // namespace tandem
