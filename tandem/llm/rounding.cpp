// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tandem {
namespace {

constexpr float kLeastScale = std::numeric_limits<float>::epsilon();

int8_t pair_of(int8_t low, int8_t high) { return static_cast<int8_t>((high & 0xf) << 4 | (low & 0xf)); }

}  // namespace

RoundedWeight round_weight(const Matrix& weight, int bits, int64_t group) {
  RoundedWeight rounded{.n = weight.rows, .k = weight.columns, .group = group, .bits = bits, .values = {}, .scale = {}};
  rounded.values.resize(weight.data.size());
  const auto most = static_cast<float>((1 << (bits - 1)) - 1);
  const int64_t run = group == 0 ? std::max<int64_t>(weight.columns, 1) : group;
  for (int64_t row = 0; row < weight.rows; ++row) {
    const float* from = weight.row(row);
    int8_t* to = rounded.values.data() + row * weight.columns;
    for (int64_t first = 0; first < weight.columns; first += run) {
      const int64_t end = std::min(first + run, weight.columns);
      float peak = 0;
      for (int64_t k = first; k < end; ++k) peak = std::max(peak, std::abs(from[k]));
      const float scale = std::max(peak / most, kLeastScale);
      rounded.scale.push_back(scale);
      for (int64_t k = first; k < end; ++k) {
        to[k] = static_cast<int8_t>(std::clamp(std::nearbyint(from[k] / scale), -most - 1, most));
      }
    }
  }
  return rounded;
}

Matrix value_of(const RoundedWeight& weight) {
  Matrix values(weight.n, weight.k);
  const int64_t groups = weight.groups();
  for (int64_t row = 0; row < weight.n; ++row) {
    for (int64_t k = 0; k < weight.k; ++k) {
      const int64_t group = weight.group == 0 ? 0 : k / weight.group;
      const float scale = weight.scale[static_cast<size_t>(row * groups + group)];
      values.row(row)[k] = static_cast<float>(weight.values[static_cast<size_t>(row * weight.k + k)]) * scale;
    }
  }
  return values;
}

Range8 asymmetric_range(float low, float high) {
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  const float scale = std::max((high - low) / 255.0f, kLeastScale);
  return {scale, std::nearbyint(-low / scale) - 128.0f};
}

float magnitude_quantile(std::span<const float> x, double share) {
  if (x.empty()) return 0;
  std::vector<float> magnitudes;
  magnitudes.reserve(x.size());
  for (const float value : x) magnitudes.push_back(std::abs(value));
  const double place = share * static_cast<double>(x.size() - 1);
  const auto below = static_cast<size_t>(place);
  const auto at = magnitudes.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(magnitudes.begin(), at, magnitudes.end());
  if (below + 1 == x.size()) return *at;
  const float next = *std::min_element(at + 1, magnitudes.end());
  return static_cast<float>(*at + (place - static_cast<double>(below)) * (static_cast<double>(next) - *at));
}

std::vector<int64_t> magnitude_histogram(std::span<const float> x, float most, size_t parts) {
  std::vector<int64_t> counts(parts);
  if (!(most > 0)) return counts;
  for (const float value : x) {
    const auto part = static_cast<size_t>(std::abs(value) / most * static_cast<float>(parts));
    ++counts[std::min(part, parts - 1)];
  }
  return counts;
}

std::vector<int8_t> nibbles_along_k(const RoundedWeight& weight) {
  std::vector<int8_t> packed;
  for (int64_t row = 0; row < weight.n; ++row) {
    const int8_t* from = weight.values.data() + row * weight.k;
    for (int64_t k = 0; k < weight.k; k += 2)
      packed.push_back(pair_of(from[k], k + 1 < weight.k ? from[k + 1] : int8_t{0}));
  }
  return packed;
}

std::vector<int8_t> nibbles_along_n(const RoundedWeight& weight) {
  std::vector<int8_t> packed;
  for (int64_t row = 0; row + 1 < weight.n; row += 2) {
    const int8_t* low = weight.values.data() + row * weight.k;
    for (int64_t k = 0; k < weight.k; ++k) packed.push_back(pair_of(low[k], low[weight.k + k]));
  }
  return packed;
}

}  // namespace tandem
