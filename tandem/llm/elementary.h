// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>
#include <cstdint>
#include <limits>

// exp, log, sin and cos in double from plain products and sums, so that the sampler and the rope tables have the same
// bits on every machine. Error below 1e-14 relative (exp, log) or absolute (sin, cos) in the ranges named.
namespace tandem::elementary {

// 2^exponent for exponent in [-1022, 1023].
constexpr double power_of_two(int64_t exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

// Nearest integer of |x| < 2^51, ties to even: the adder rounds at the unit place.
constexpr double nearest(double x) {
  constexpr double kShift = 0x1.8p52;
  return (x + kShift) - kShift;
}

// 0 below -708 (where results would be subnormal), infinity above 709; NaN stays NaN.
constexpr double exp(double x) {
  if (x != x) return x;
  if (x < -708.0) return 0.0;
  if (x > 709.0) return std::numeric_limits<double>::infinity();
  constexpr double kLn2High = 0x1.62e42feep-1;  // upper 33 bits of ln 2: k * it is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  const double k = nearest(x * 0x1.71547652b82fep0);  // x / ln 2
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = 1.0;
  for (int term = 14; term >= 1; --term) sum = 1.0 + r / term * sum;  // |r| <= 0.347: the next term is below 1e-18
  return sum * power_of_two(static_cast<int64_t>(k));
}

// Of a positive normal x.
constexpr double log(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);  // log m = 2 atanh s, |s| <= 0.172
  const double square = s * s;
  double sum = 0.0;
  for (int power = 25; power >= 1; power -= 2) sum = sum * square + 1.0 / power;
  const double k = static_cast<double>(exponent);
  return k * 0x1.62e42feep-1 + (k * 0x1.a39ef35793c76p-33 + 2.0 * s * sum);
}

struct SinCos {
  double sin, cos;
};

// Of |x| <= 2^20.
constexpr SinCos sin_cos(double x) {
  // pi/2 in three parts of 33 bits: k * part is exact for k < 2^20.
  constexpr double kPart1 = 1.57079632673412561417e+00;
  constexpr double kPart2 = 6.07710050630396597660e-11;
  constexpr double kPart3 = 2.02226624871116645580e-21;
  const double k = nearest(x * 6.36619772367581382433e-01);
  const double r = ((x - k * kPart1) - k * kPart2) - k * kPart3;
  const double square = r * r;
  double sine = 1.0;
  double cosine = 1.0;
  for (int term = 20; term >= 2; term -= 2) {  // |r| <= 0.786
    sine = 1.0 - square / (term * (term + 1)) * sine;
    cosine = 1.0 - square / (term * (term - 1)) * cosine;
  }
  sine *= r;
  switch (static_cast<int64_t>(k) & 3) {
    case 0: return {sine, cosine};
    case 1: return {cosine, -sine};
    case 2: return {-sine, -cosine};
    default: return {-cosine, sine};
  }
}

}  // namespace tandem::elementary
