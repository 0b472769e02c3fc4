// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)
namespace tandem {

// Element types of tensors. i4 packs two signed nibbles a byte, the even element in the low nibble.
enum class DType : uint8_t { none, f32, f16, bf16, f64, i4, i8, u8, i16, u16, i32, u32, i64, u64 };

// Bits one element occupies; 0 for none.
constexpr int dtype_bits(DType type) {
  switch (type) {
    case DType::none: return 0;
    case DType::i4: return 4;
    case DType::i8:
    case DType::u8: return 8;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
    case DType::u16: return 16;
    case DType::f32:
    case DType::i32:
    case DType::u32: return 32;
    case DType::f64:
    case DType::i64:
    case DType::u64: return 64;
  }
  return 0;
}

// Bytes that hold `count` elements (i4 rounds up to a whole byte).
constexpr size_t dtype_bytes(DType type, int64_t count) {
  return (static_cast<size_t>(count) * static_cast<size_t>(dtype_bits(type)) + 7) / 8;
}

constexpr bool is_float(DType type) {
  return type == DType::f32 || type == DType::f16 || type == DType::bf16 || type == DType::f64;
}

constexpr std::string_view dtype_name(DType type) {
  switch (type) {
    case DType::none: return "none";
    case DType::f32: return "f32";
    case DType::f16: return "f16";
    case DType::bf16: return "bf16";
    case DType::f64: return "f64";
    case DType::i4: return "i4";
    case DType::i8: return "i8";
    case DType::u8: return "u8";
    case DType::i16: return "i16";
    case DType::u16: return "u16";
    case DType::i32: return "i32";
    case DType::u32: return "u32";
    case DType::i64: return "i64";
    case DType::u64: return "u64";
  }
  return "none";
}

// The type of that name, or none.
constexpr DType dtype_from_name(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(DType::u64); ++i) {
    if (dtype_name(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  }
  return DType::none;
}

}  // namespace tandem
#pragma GCC visibility pop
