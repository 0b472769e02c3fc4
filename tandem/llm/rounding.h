// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <vector>

// Integers for weights and activations: ranges, scales, nibbles. Steps are f32, as in the tools that write this format.
namespace tandem {

// A matrix (rows, columns), rows without gaps.
struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<float> data;

  Matrix() = default;
  Matrix(int64_t r, int64_t c) : rows(r), columns(c), data(static_cast<size_t>(r * c)) {}
  float* row(int64_t r) { return data.data() + r * columns; }
  const float* row(int64_t r) const { return data.data() + r * columns; }
  int64_t row_bytes() const { return columns * static_cast<int64_t>(sizeof(float)); }
};

// A weight (n, k) as integers with a scale for each run of `group` columns (0: all): scale = max|w| / most, at least
// FLT_EPSILON; q = round half even of w / scale.
struct RoundedWeight {
  int64_t n = 0, k = 0, group = 0;
  int bits = 8;
  std::vector<int8_t> values;
  std::vector<float> scale;  // [n][groups]
  int64_t groups() const { return group == 0 ? 1 : (k + group - 1) / group; }
};
RoundedWeight round_weight(const Matrix& weight, int bits, int64_t group);
// What the integers stand for.
Matrix value_of(const RoundedWeight& weight);

// scale = (high - low) / 255 of a range that includes 0, offset = round(-low / scale) - 128.
struct Range8 {
  float scale = 1, offset = 0;
};
Range8 asymmetric_range(float low, float high);

// The value that `share` of |x| do not exceed, interpolated between neighbours.
float magnitude_quantile(std::span<const float> x, double share);
// Counts of |x| over equal parts of [0, most].
std::vector<int64_t> magnitude_histogram(std::span<const float> x, float most, size_t parts);

// Pairs of int4, the even one low: along k (rows of (k+1)/2 bytes), or along n (n even).
std::vector<int8_t> nibbles_along_k(const RoundedWeight& weight);
std::vector<int8_t> nibbles_along_n(const RoundedWeight& weight);

}  // namespace tandem
