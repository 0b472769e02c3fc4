// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "tandem/check/oracle.h"

namespace tandem::check {
namespace {

constexpr double kV = 0x1p-24;

double tiny_of(DType dtype) { return dtype == DType::f16 ? 0x1p-24 : dtype == DType::bf16 ? 0x1p-133 : 0x1p-149; }

// Operands of a product as nested batches: sizes, and where the matrices of product i begin.
struct Shape {
  int64_t m = 1, k = 0, n = 1, count = 1;
  std::vector<int64_t> batch, a, b;  // extents of the batch, and of each operand's own

  int64_t start(const std::vector<int64_t>& own, int64_t index, int64_t matrix) const {
    int64_t at = 0, stride = matrix;
    for (size_t i = 0; i < batch.size(); ++i) {
      const int64_t place = index % batch[batch.size() - 1 - i];
      index /= batch[batch.size() - 1 - i];
      if (i >= own.size()) continue;
      const int64_t size = own[own.size() - 1 - i];
      at += (size == 1 ? 0 : place) * stride;
      stride *= size;
    }
    return at;
  }
};

Shape shape_of(std::vector<int64_t> a, std::vector<int64_t> b) {
  Shape s;
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  s.m = a[a.size() - 2];
  s.k = a.back();
  s.n = b.back();
  s.a.assign(a.begin(), a.end() - 2);
  s.b.assign(b.begin(), b.end() - 2);
  s.batch.assign(std::max(s.a.size(), s.b.size()), 1);
  for (const auto* own : {&s.a, &s.b}) {
    for (size_t i = 0; i < own->size(); ++i) {
      int64_t& size = s.batch[s.batch.size() - 1 - i];
      size = std::max(size, (*own)[own->size() - 1 - i]);
      if ((*own)[own->size() - 1 - i] == 0) size = 0;
    }
  }
  for (const int64_t size : s.batch) s.count *= size;
  return s;
}

// Value and magnitude of one output.
struct Sum {
  double value = 0, magnitude = 0;
};
using Weigh = std::function<double(int64_t, int64_t, int64_t)>;     // (start of the matrix, k, n)
using Finish = std::function<Sum(Sum, int64_t, int64_t, int64_t)>;  // (sum, row, column, flat index)

Wanted products(const Operand& a, const Shape& s, const Weigh& weight, const Finish& finish, DType y) {
  Wanted wanted;
  const double u = y == DType::f32 ? kV : unit_of(y), growth = static_cast<double>(s.k + 32) * kV;
  for (int64_t index = 0; index < s.count; ++index) {
    const int64_t from_a = s.start(s.a, index, s.m * s.k), from_b = s.start(s.b, index, s.k * s.n);
    for (int64_t i = 0; i < s.m * s.n; ++i) {
      Sum sum;
      for (int64_t k = 0; k < s.k; ++k) {
        const double term = a.at(from_a + i / s.n * s.k + k) * weight(from_b, k, i % s.n);
        sum.value += term;
        sum.magnitude += std::fabs(term);
      }
      sum = finish(sum, i / s.n, i % s.n, index * s.m * s.n + i);
      wanted.values.push_back(sum.value);
      wanted.bounds.push_back(1.05 * (growth * sum.magnitude + u * std::fabs(sum.value)) + tiny_of(y));
    }
  }
  return wanted;
}

double vector_at(const Case& c, const std::string& name, int64_t index, double absent) {
  if (!c.has(name)) return absent;
  const Operand& o = c.operand(name);
  return o.at(o.elements() == 1 ? 0 : index);
}

double broadcast(const Operand& o, const std::vector<int64_t>& dims, int64_t index) {
  int64_t at = 0, stride = 1;
  for (size_t i = 0; i < dims.size() && i < o.dims.size(); ++i) {
    const int64_t size = o.dims[o.dims.size() - 1 - i], place = index % dims[dims.size() - 1 - i];
    index /= dims[dims.size() - 1 - i];
    at += (size == 1 ? 0 : place) * stride;
    stride *= size;
  }
  return o.at(at);
}

Sum added(Sum sum, double term) { return {sum.value + term, sum.magnitude + std::fabs(term)}; }

}  // namespace

std::map<std::string, Wanted> matmul_oracle(const Case& c) {
  const Operand &a = c.operand("a"), &b = c.operand("b"), &y = c.operand("y");
  const Shape s = shape_of(a.dims, b.dims);
  const double alpha = c.number("alpha", 1), beta = c.number("beta", 1);
  const auto weight = [&](int64_t from, int64_t k, int64_t n) { return b.at(from + k * s.n + n); };
  const auto finish = [&](Sum sum, int64_t, int64_t, int64_t index) {
    const Sum scaled{alpha * sum.value, std::fabs(alpha) * sum.magnitude};
    return c.has("c") && beta != 0 ? added(scaled, beta * broadcast(c.operand("c"), y.dims, index)) : scaled;
  };
  return {{"y", products(a, s, weight, finish, y.dtype)}};
}

std::map<std::string, Wanted> linear_oracle(const Case& c) {
  const Operand &x = c.operand("x"), &w = c.operand("weight"), &y = c.operand("y");
  const bool transpose = c.number("transpose", 1) != 0;
  std::vector<int64_t> dims = w.dims;
  if (transpose) std::swap(dims[0], dims[1]);
  const Shape s = shape_of(x.dims, dims);
  const auto weight = [&](int64_t, int64_t k, int64_t n) { return w.at(transpose ? n * s.k + k : k * s.n + n); };
  const auto finish = [&](Sum sum, int64_t, int64_t n, int64_t) { return added(sum, vector_at(c, "bias", n, 0)); };
  return {{"y", products(x, s, weight, finish, y.dtype)}};
}

std::map<std::string, Wanted> quant_matmul_oracle(const Case& c) {
  const Operand &x1 = c.operand("x1"), &x2 = c.operand("x2"), &y = c.operand("y");
  const Shape s = shape_of(x1.dims, x2.dims);
  const bool words =
      c.has("scale") && (c.operand("scale").dtype == DType::u64 || c.operand("scale").dtype == DType::i64);
  const bool integer_bias = c.has("bias") && c.operand("bias").dtype == DType::i32;
  const auto scale_of = [&](int64_t n) {
    const double value = vector_at(c, "scale", n, 1);
    if (!words) return value;
    const auto bits = static_cast<uint32_t>(static_cast<uint64_t>(value)) & 0xffffe000u;
    return static_cast<double>(std::bit_cast<float>(bits));
  };
  const auto weight = [&](int64_t from, int64_t k, int64_t n) { return x2.at(from + k * s.n + n); };
  const auto finish = [&](Sum sum, int64_t m, int64_t n, int64_t) -> Sum {
    const double exact = sum.value + (integer_bias ? vector_at(c, "bias", n, 0) : 0);
    const double product = exact * scale_of(n) * vector_at(c, "token", m, 1);
    double value = product;
    if (!integer_bias) value += vector_at(c, "bias", n, 0);
    if (y.dtype == DType::i8) value = std::clamp(std::nearbyint(value + vector_at(c, "offset", n, 0)), -128.0, 127.0);
    // The integer sum is exact: four roundings of f32 remain.
    return {value, 4 * (std::fabs(product) + std::fabs(value)) / static_cast<double>(s.k + 32)};
  };
  return {{"y", products(x1, s, weight, finish, y.dtype)}};
}

std::map<std::string, Wanted> weight_quant_matmul_oracle(const Case& c) {
  const Operand &x = c.operand("x"), &w = c.operand("weight"), &scale = c.operand("scale");
  const Shape s = shape_of(x.dims, w.dims);
  const auto group = static_cast<int64_t>(c.number("group", 0));
  const auto place = [&](int64_t k, int64_t n) {
    if (scale.elements() == 1) return int64_t{0};
    return group > 0 ? k / group * s.n + n : n;
  };
  const auto weight = [&](int64_t, int64_t k, int64_t n) {
    const double offset = c.has("offset") ? c.operand("offset").at(place(k, n)) : 0;
    return (w.at(k * s.n + n) + offset) * scale.at(place(k, n));
  };
  const auto finish = [&](Sum sum, int64_t, int64_t n, int64_t) { return added(sum, vector_at(c, "bias", n, 0)); };
  return {{"y", products(x, s, weight, finish, c.operand("y").dtype)}};
}

}  // namespace tandem::check
