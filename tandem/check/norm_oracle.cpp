// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "tandem/check/oracle.h"

namespace tandem::check {
namespace {

// One rounding to f32 and one to the result's type, and what f64 sums of n terms of that size leave open.
double bound(DType dtype, double value, double terms, int64_t n) {
  return rounding(dtype, value) + 0x1p-24 * std::fabs(value) + 0x1p-50 * static_cast<double>(n) * terms;
}

}  // namespace

std::map<std::string, Wanted> layer_norm_oracle(const Case& c) {
  const Operand &x = c.operand("x"), &gamma = c.operand("gamma");
  const int64_t n = gamma.elements();
  const double epsilon = c.number("epsilon", 1e-5);
  Wanted y;
  for (int64_t row = 0; row < x.elements() / n; ++row) {
    long double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<long double>(x.at(row * n + i));
    const long double mean = sum / static_cast<long double>(n);
    for (int64_t i = 0; i < n; ++i) {
      const long double d = static_cast<long double>(x.at(row * n + i)) - mean;
      squares += d * d;
    }
    const auto inverse =
        static_cast<double>(1 / std::sqrt(squares / static_cast<long double>(n) + static_cast<long double>(epsilon)));
    for (int64_t i = 0; i < n; ++i) {
      const double factor = inverse * gamma.at(i), centre = static_cast<double>(mean);
      const double value = static_cast<double>(static_cast<long double>(x.at(row * n + i)) - mean) * factor +
                           (c.has("beta") ? c.operand("beta").at(i) : 0);
      y.values.push_back(value);
      y.bounds.push_back(
          bound(x.dtype, value, std::fabs(factor) * (std::fabs(centre) + std::fabs(x.at(row * n + i))), n));
    }
  }
  return {{"y", y}};
}

std::map<std::string, Wanted> rms_norm_backward_oracle(const Case& c) {
  const Operand &dy = c.operand("dy"), &x = c.operand("x"), &rstd = c.operand("rstd"), &gamma = c.operand("gamma");
  const int64_t n = gamma.elements(), rows = dy.elements() / n;
  Wanted dx;
  std::vector<double> sums(static_cast<size_t>(n)), sizes(static_cast<size_t>(n));
  for (int64_t row = 0; row < rows; ++row) {
    double mean = 0, size = 0;
    const double r = rstd.at(row);
    for (int64_t i = 0; i < n; ++i) {
      const double term = dy.at(row * n + i) * gamma.at(i) * x.at(row * n + i);
      mean += term / static_cast<double>(n);
      size += std::fabs(term) / static_cast<double>(n);
    }
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = row * n + i;
      const double value = r * (dy.at(at) * gamma.at(i) - x.at(at) * r * r * mean);
      const double terms = std::fabs(r) * (std::fabs(dy.at(at) * gamma.at(i)) + std::fabs(x.at(at)) * r * r * size);
      dx.values.push_back(value);
      dx.bounds.push_back(bound(dy.dtype, value, terms, n));
      sums[static_cast<size_t>(i)] += dy.at(at) * x.at(at) * r;
      sizes[static_cast<size_t>(i)] += std::fabs(dy.at(at) * x.at(at) * r);
    }
  }
  Wanted dgamma{sums, {}};
  for (size_t i = 0; i < sums.size(); ++i)
    dgamma.bounds.push_back(bound(c.operand("dgamma").dtype, sums[i], sizes[i], rows));
  return {{"dx", dx}, {"dgamma", dgamma}};
}

}  // namespace tandem::check
