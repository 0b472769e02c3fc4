// SPDX-License-Identifier: Apache-2.0
// The numbers of the two examples: a product split over the ranks, and what must come out of it.
#ifndef EXAMPLES_ACLNN_PROBLEM_H
#define EXAMPLES_ACLNN_PROBLEM_H
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "acl/acl.h"

const int kRanks = 8;
const int64_t kRows = 24, kK = 96, kN = 160;  // k is the slice of one rank
const double kEpsilon = 1e-6;

// Every rank has its own slice of x1 and x2; the rest is the same on all of them.
struct Problem {
  std::vector<std::vector<uint16_t>> x1;  // fp16 (rows, k)
  std::vector<std::vector<int8_t>> x2;    // int8 (k, n)
  std::vector<uint16_t> bias, scale, offset, residual, gamma;
};

inline double next_random(uint32_t& state) {
  state = state * 1664525u + 1013904223u;
  return static_cast<double>(state >> 8) / 8388608.0 - 1.0;  // [-1, 1)
}

inline std::vector<uint16_t> random_halves(size_t count, double around, double spread, uint32_t& state) {
  std::vector<uint16_t> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = aclFloatToFloat16(static_cast<float>(around + spread * next_random(state)));
  }
  return values;
}

inline Problem make_problem() {
  Problem problem;
  uint32_t state = 2024;
  for (int rank = 0; rank < kRanks; ++rank) {
    problem.x1.push_back(random_halves(kRows * kK, 0, 1, state));
    std::vector<int8_t> weights(kK * kN);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<int8_t>(127 * next_random(state));
    problem.x2.push_back(weights);
  }
  problem.bias = random_halves(kN, 0, 0.25, state);
  problem.scale = random_halves(kN, 0.001, 0.0004, state);
  problem.offset = random_halves(kN, 0, 4, state);
  problem.residual = random_halves(kRows * kN, 0, 1, state);
  problem.gamma = random_halves(kN, 1, 0.25, state);
  return problem;
}

struct Expected {
  std::vector<double> y, norm;
};

// The formulas as they stand, in double: every rank adds the bias, so it counts once per rank that passes it (here:
// one).
inline Expected expected_of(const Problem& problem) {
  Expected expected;
  expected.y.resize(kRows * kN);
  expected.norm.resize(kRows * kN);
  for (int64_t row = 0; row < kRows; ++row) {
    double squares = 0;
    for (int64_t column = 0; column < kN; ++column) {
      const double scale = aclFloat16ToFloat(problem.scale[column]);
      const double offset = aclFloat16ToFloat(problem.offset[column]);
      double sum = aclFloat16ToFloat(problem.bias[column]);
      for (int rank = 0; rank < kRanks; ++rank) {
        for (int64_t i = 0; i < kK; ++i) {
          const double x = aclFloat16ToFloat(problem.x1[rank][row * kK + i]);
          sum += x * (problem.x2[rank][i * kN + column] + offset) * scale;
        }
      }
      const double y = sum + aclFloat16ToFloat(problem.residual[row * kN + column]);
      expected.y[row * kN + column] = y;
      squares += y * y;
    }
    const double root = std::sqrt(squares / kN + kEpsilon);
    for (int64_t column = 0; column < kN; ++column) {
      expected.norm[row * kN + column] =
          expected.y[row * kN + column] / root * aclFloat16ToFloat(problem.gamma[column]);
    }
  }
  return expected;
}

// The largest error relative to max(1, |expected|); a NaN gives infinity.
inline double largest_error(const std::vector<uint16_t>& got, const std::vector<double>& expected) {
  double largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(aclFloat16ToFloat(got[i]) - expected[i]) / std::fmax(1.0, std::fabs(expected[i]));
    if (!(error <= largest)) largest = error == error ? error : INFINITY;
  }
  return largest;
}

// Two roundings to fp16 and some room for the sums.
const double kAllowedError = 1.0 / 512;

#endif
