// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/convert.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "tandem/base/half.h"
#include "tandem/base/int4.h"

namespace tandem {
namespace {

// An element on its way: integers keep all their bits.
struct Number {
  enum class Kind : uint8_t { real, whole, natural } kind = Kind::real;
  double real = 0;
  uint64_t whole = 0;  // two's complement
};

template <class T>
Number read_whole(const void* from, int64_t i) {
  const T value = static_cast<const T*>(from)[i];
  return {std::is_signed_v<T> ? Number::Kind::whole : Number::Kind::natural, 0, static_cast<uint64_t>(value)};
}

Number read(const Conversion& c, int64_t i) {
  switch (c.from_dtype) {
    case DType::f64: return {Number::Kind::real, static_cast<const double*>(c.from)[i], 0};
    case DType::f32: return {Number::Kind::real, static_cast<double>(static_cast<const float*>(c.from)[i]), 0};
    case DType::f16: return {Number::Kind::real, static_cast<double>(to_float(static_cast<const f16*>(c.from)[i])), 0};
    case DType::bf16:
      return {Number::Kind::real, static_cast<double>(to_float(static_cast<const bf16*>(c.from)[i])), 0};
    case DType::i4: {
      const int64_t value = int4_get(static_cast<const uint8_t*>(c.from), i);
      return {Number::Kind::whole, 0, static_cast<uint64_t>(value)};
    }
    case DType::i8: return read_whole<int8_t>(c.from, i);
    case DType::u8: return read_whole<uint8_t>(c.from, i);
    case DType::i16: return read_whole<int16_t>(c.from, i);
    case DType::u16: return read_whole<uint16_t>(c.from, i);
    case DType::i32: return read_whole<int32_t>(c.from, i);
    case DType::u32: return read_whole<uint32_t>(c.from, i);
    case DType::i64: return read_whole<int64_t>(c.from, i);
    default: return read_whole<uint64_t>(c.from, i);
  }
}

template <class T>
T real_of(const Number& number) {
  if (number.kind == Number::Kind::real) return static_cast<T>(number.real);
  return number.kind == Number::Kind::whole ? static_cast<T>(static_cast<int64_t>(number.whole))
                                            : static_cast<T>(number.whole);
}

// To f32 in such a way that a second rounding to 16 bits gives what one rounding gives: to odd where it is inexact.
float sticky(double value) {
  const auto nearest = static_cast<float>(value);
  const auto back = static_cast<double>(nearest);
  if (back == value || back != back || std::isinf(nearest)) return nearest;
  const uint32_t bits = float_bits(nearest);
  if ((bits & 1) != 0) return nearest;
  return std::nextafter(
      nearest, value > back ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity());
}

float narrow_of(const Number& number) {
  return number.kind == Number::Kind::real ? sticky(number.real) : real_of<float>(number);
}

template <class T>
T whole_of(const Number& number) {
  if (number.kind != Number::Kind::real) return static_cast<T>(number.whole);
  constexpr T kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  const double cut = std::trunc(number.real);
  if (cut != cut) return 0;
  if (cut <= static_cast<double>(kLow)) return kLow;
  return cut >= static_cast<double>(kHigh) ? kHigh : static_cast<T>(cut);
}

template <class T>
void write_whole(void* to, int64_t i, const Number& number) {
  static_cast<T*>(to)[i] = whole_of<T>(number);
}

void write(const Conversion& c, int64_t i, const Number& number) {
  switch (c.to_dtype) {
    case DType::f64: static_cast<double*>(c.to)[i] = real_of<double>(number); return;
    case DType::f32: store_float(static_cast<float*>(c.to) + i, real_of<float>(number)); return;
    case DType::f16: store_float(static_cast<f16*>(c.to) + i, narrow_of(number)); return;
    case DType::bf16: store_float(static_cast<bf16*>(c.to) + i, narrow_of(number)); return;
    case DType::i4: int4_set(static_cast<uint8_t*>(c.to), i, whole_of<int8_t>(number)); return;
    case DType::i8: write_whole<int8_t>(c.to, i, number); return;
    case DType::u8: write_whole<uint8_t>(c.to, i, number); return;
    case DType::i16: write_whole<int16_t>(c.to, i, number); return;
    case DType::u16: write_whole<uint16_t>(c.to, i, number); return;
    case DType::i32: write_whole<int32_t>(c.to, i, number); return;
    case DType::u32: write_whole<uint32_t>(c.to, i, number); return;
    case DType::i64: write_whole<int64_t>(c.to, i, number); return;
    default: write_whole<uint64_t>(c.to, i, number); return;
  }
}

}  // namespace

void convert(const Conversion& conversion, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) write(conversion, i, read(conversion, i));
}

}  // namespace tandem
