// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "tandem/kernels/reference/element.h"
#include "tandem/kernels/reference/table.h"

namespace tandem::reference {
namespace {

double apply(Unary op, double v, double alpha) {
  switch (op) {
    case Unary::copy: return v;
    case Unary::negate: return -v;
    case Unary::absolute: return std::fabs(v);
    case Unary::square_root: return std::sqrt(v);
    case Unary::reciprocal: return 1 / v;
    case Unary::exponential: return std::exp(v);
    case Unary::silu: return v / (1 + std::exp(-v));
    case Unary::gelu: return v / (1 + std::exp(-2 * 0.79788456080286535588 * (v + 0.044715 * v * v * v)));
    case Unary::scale: return v * alpha;
  }
  return v;
}

template <class T>
T extreme(T a, T b, bool greatest) {
  if (a != a || b != b) return a != a ? a : b;
  if (a == b && std::signbit(static_cast<double>(a)) != greatest) return a;  // of two zeros the signed one is the lesser
  if (a == b) return b;
  return (a > b) == greatest ? a : b;
}

double apply(Binary op, double a, double b) {
  switch (op) {
    case Binary::add: return a + b;
    case Binary::subtract: return a - b;
    case Binary::multiply: return a * b;
    case Binary::divide: return a / b;
    case Binary::maximum: return extreme(a, b, true);
    case Binary::minimum: return extreme(a, b, false);
  }
  return a;
}

// i32 wraps.
int32_t apply(Binary op, int32_t a, int32_t b) {
  const auto x = static_cast<uint32_t>(a), y = static_cast<uint32_t>(b);
  switch (op) {
    case Binary::add: return static_cast<int32_t>(x + y);
    case Binary::subtract: return static_cast<int32_t>(x - y);
    case Binary::multiply: return static_cast<int32_t>(x * y);
    case Binary::maximum: return std::max(a, b);
    case Binary::minimum: return std::min(a, b);
    case Binary::divide: return a;
  }
  return a;
}

}  // namespace

void unary(const UnaryArgs& args, Lane&) {
  for (int64_t i = 0; i < args.count; ++i) {
    if (args.dtype == DType::i32) {
      const auto v = static_cast<uint32_t>(static_cast<const int32_t*>(args.x)[i]);
      const bool minus = args.op == Unary::negate || (args.op == Unary::absolute && v >> 31 != 0);
      static_cast<int32_t*>(args.y)[i] = static_cast<int32_t>(minus ? 0u - v : v);
      continue;
    }
    put(args.y, args.dtype, i, apply(args.op, get(args.x, args.dtype, i), static_cast<double>(args.alpha)));
  }
}

void binary(const BinaryArgs& args, Lane&) {
  for (int64_t i = 0; i < args.count; ++i) {
    const int64_t other = args.b_period > 0 ? i % args.b_period : i;
    if (args.dtype == DType::i32) {
      static_cast<int32_t*>(args.y)[i] =
          apply(args.op, static_cast<const int32_t*>(args.a)[i], static_cast<const int32_t*>(args.b)[other]);
      continue;
    }
    put(args.y, args.dtype, i, apply(args.op, get(args.a, args.dtype, i), get(args.b, args.dtype, other)));
  }
}

namespace {

template <class T>
using Product = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

// The inputs one after the other: for a tolerance the order does not matter, and integers are exact.
template <class T, class Wide>
void combine_exact(const CombineInputsArgs& args) {
  for (int64_t i = 0; i < args.count; ++i) {
    Wide wide = 0;
    Product<T> product = 1;
    T best{};
    for (int k = 0; k < args.inputs; ++k) {
      T v;
      std::memcpy(&v, static_cast<const char*>(args.x[k]) + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
      wide += static_cast<Wide>(v);
      product *= static_cast<Product<T>>(v);
      best = k == 0 ? v : extreme(best, v, args.how == Combine::maximum);
    }
    if (args.how == Combine::average) wide /= static_cast<Wide>(args.inputs);
    const bool extremes = args.how == Combine::maximum || args.how == Combine::minimum;
    const T y = extremes ? best : args.how == Combine::product ? static_cast<T>(product) : static_cast<T>(wide);
    std::memcpy(static_cast<char*>(args.y) + i * static_cast<int64_t>(sizeof(T)), &y, sizeof(T));
  }
}

void combine_floats(const CombineInputsArgs& args) {
  for (int64_t i = 0; i < args.count; ++i) {
    double sum = 0, product = 1, best = 0;
    for (int k = 0; k < args.inputs; ++k) {
      const double v = get(args.x[k], args.dtype, i);
      sum += v, product *= v;
      best = k == 0 ? v : extreme(best, v, args.how == Combine::maximum);
    }
    if (args.how == Combine::average) sum /= args.inputs;
    const bool extremes = args.how == Combine::maximum || args.how == Combine::minimum;
    put(args.y, args.dtype, i, extremes ? best : args.how == Combine::product ? product : sum);
  }
}

__extension__ typedef __int128 Wide;
__extension__ typedef unsigned __int128 WideUnsigned;

}  // namespace

void combine_inputs(const CombineInputsArgs& args, Lane&) {
  switch (args.dtype) {
    case DType::i8: return combine_exact<int8_t, Wide>(args);
    case DType::u8: return combine_exact<uint8_t, Wide>(args);
    case DType::i16: return combine_exact<int16_t, Wide>(args);
    case DType::u16: return combine_exact<uint16_t, Wide>(args);
    case DType::i32: return combine_exact<int32_t, Wide>(args);
    case DType::u32: return combine_exact<uint32_t, Wide>(args);
    case DType::i64: return combine_exact<int64_t, Wide>(args);
    case DType::u64: return combine_exact<uint64_t, WideUnsigned>(args);
    case DType::f64: return combine_exact<double, double>(args);
    default: return combine_floats(args);
  }
}

}  // namespace tandem::reference
