// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstring>

#include "tandem/base/dtype.h"
#include "tandem/base/half.h"

// Elements of the three float types by index, where speed does not matter.
namespace tandem {

inline bool is_plain_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

inline float float_at(const void* data, DType dtype, size_t index) {
  const auto* bytes = static_cast<const std::byte*>(data);
  if (dtype == DType::f32) {
    float value = 0;
    std::memcpy(&value, bytes + index * sizeof value, sizeof value);
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, bytes + index * sizeof bits, sizeof bits);
  return dtype == DType::f16 ? to_float(f16{bits}) : to_float(bf16{bits});
}

inline void store_float_at(void* data, DType dtype, size_t index, float value) {
  auto* bytes = static_cast<std::byte*>(data);
  if (dtype == DType::f32) {
    value = canonical(value);
    std::memcpy(bytes + index * sizeof value, &value, sizeof value);
    return;
  }
  const uint16_t bits = dtype == DType::f16 ? to_f16(value).bits : to_bf16(value).bits;
  std::memcpy(bytes + index * sizeof bits, &bits, sizeof bits);
}

}  // namespace tandem
