// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "tandem/base/dtype.h"
#include "tandem/base/half.h"
#include "tandem/base/int4.h"

namespace tandem::reference {

inline const void* at(const void* base, int64_t bytes) { return static_cast<const char*>(base) + bytes; }
inline void* at(void* base, int64_t bytes) { return static_cast<char*>(base) + bytes; }

// Element `i` of an array of any stored type.
inline double get(const void* data, DType type, int64_t i) {
  switch (type) {
    case DType::f32: return static_cast<double>(static_cast<const float*>(data)[i]);
    case DType::f16: return static_cast<double>(to_float(static_cast<const f16*>(data)[i]));
    case DType::bf16: return static_cast<double>(to_float(static_cast<const bf16*>(data)[i]));
    case DType::i8: return static_cast<double>(static_cast<const int8_t*>(data)[i]);
    case DType::i32: return static_cast<double>(static_cast<const int32_t*>(data)[i]);
    case DType::i4: return static_cast<double>(int4_get(static_cast<const uint8_t*>(data), i));
    default: std::abort();  // not a type of any kernel
  }
}

// f32 on the way to 16 bits, rounded to odd so that the second rounding is the only one.
inline float odd_float(double value) {
  const float nearest = static_cast<float>(value);
  if (!std::isfinite(nearest) || static_cast<double>(nearest) == value || (float_bits(nearest) & 1u) != 0) return nearest;
  const bool outward = std::fabs(value) > std::fabs(static_cast<double>(nearest));
  return float_from_bits(outward ? float_bits(nearest) + 1 : float_bits(nearest) - 1);
}

inline void put(void* data, DType type, int64_t i, double value) {
  switch (type) {
    case DType::f32: return store_float(static_cast<float*>(data) + i, static_cast<float>(value));
    case DType::f16: return store_float(static_cast<f16*>(data) + i, odd_float(value));
    case DType::bf16: return store_float(static_cast<bf16*>(data) + i, odd_float(value));
    default: std::abort();
  }
}

}  // namespace tandem::reference
