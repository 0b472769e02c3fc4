// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tandem/check/fused_problem.h"

namespace tandem::fused {

// Exact result in double from the stored inputs, and how far a result of f32 sums and one rounding to the output type
// may lie from it. y is the sum over ranks, plus the residual where the problem has a tail.
struct Reference {
  std::vector<double> y, y_bound;
  std::vector<double> norm, norm_bound;  // empty without a tail
};

// Adds up the operands of all ranks; the tail is that of `rank`.
//
// Bound of an element, v = 2^-24, u = unit roundoff of the output type, Q = sum over ranks of |x1||W'| + |bias| + |x3|
// plus |residual|, products chained at most `length` = k + 32 long:
//   e_y = g(length) * Q + half the spacing at |y| + g * Q (at most u times it),  g(c) = c v / (1 - c v)
//   e_n = |gamma| * (e_y / RMS + |y| / RMS^2 * sqrt(mean e_y^2)) + (3u + 2^-21 + (n + 8) v) * |norm|
// times 1.05, plus one subnormal spacing. Weights stay f32 and partials travel as f32, so no further roundings occur.
Reference reference(const Problem& problem, std::span<const RankData> ranks, int rank);

// The first disagreement in words, or "" when every element lies within its bound. Checks NaN and infinities too, and
// where `varied` says that the values are not all alike, that the mean signed error is below u/4 of the mean magnitude
// (catches truncation).
std::string compare(DType dtype, std::span<const std::byte> got, std::span<const double> wanted,
                    std::span<const double> bound, bool varied, const char* name);

// y and norm of a rank against `reference`; "" when right.
std::string compare_result(const Problem& problem, const Reference& wanted, std::span<const std::byte> y,
                           std::span<const std::byte> norm);

double unit_roundoff(DType dtype);

}  // namespace tandem::fused
