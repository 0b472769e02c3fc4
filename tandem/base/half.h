// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>
#include <cstdint>

// Storage and scalar conversion of the 16-bit floats. Everything here is always inlined: kernel objects of different
// instruction sets include it, and an out-of-line copy could be picked for the whole program.
#pragma GCC visibility push(default)
namespace tandem {

struct f16 {
  uint16_t bits;
};
struct bf16 {
  uint16_t bits;
};

[[gnu::always_inline]] constexpr uint32_t float_bits(float value) { return __builtin_bit_cast(uint32_t, value); }
[[gnu::always_inline]] constexpr float float_from_bits(uint32_t bits) { return __builtin_bit_cast(float, bits); }

[[gnu::always_inline]] constexpr bool is_nan_bits(uint32_t bits) { return (bits & 0x7fffffffu) > 0x7f800000u; }

// NaN is stored canonical: f16 7E00, bf16 7FC0, f32 7FC00000.
[[gnu::always_inline]] constexpr float canonical(float value) {
  return is_nan_bits(float_bits(value)) ? float_from_bits(0x7fc00000u) : value;
}

[[gnu::always_inline]] constexpr float to_float(float value) { return value; }
[[gnu::always_inline]] constexpr float to_float(bf16 value) {
  return float_from_bits(static_cast<uint32_t>(value.bits) << 16);
}
[[gnu::always_inline]] constexpr float to_float(f16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_from_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude >= 0x400u) return float_from_bits(sign | ((magnitude << 13) + 0x38000000u));
  // Subnormal: magnitude * 2^-24, exact in f32.
  const float tiny = static_cast<float>(magnitude) * 0x1p-24f;
  return float_from_bits(sign | float_bits(tiny));
}

// Round to nearest even; overflow gives infinity; subnormals are kept.
[[gnu::always_inline]] constexpr f16 to_f16(float value) {
  const uint32_t bits = float_bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {0x7e00u};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {
    // Below 2^-14 the spacing is 2^-24: adding 0.5 makes the f32 adder round at that place.
    const float shifted = float_from_bits(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (float_bits(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

[[gnu::always_inline]] constexpr bf16 to_bf16(float value) {
  const uint32_t bits = float_bits(value);
  if (is_nan_bits(bits)) return {0x7fc0u};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

// Store conversion chosen by the target type.
[[gnu::always_inline]] constexpr void store_float(float* target, float value) { *target = canonical(value); }
[[gnu::always_inline]] constexpr void store_float(f16* target, float value) { *target = to_f16(value); }
[[gnu::always_inline]] constexpr void store_float(bf16* target, float value) { *target = to_bf16(value); }

}  // namespace tandem
#pragma GCC visibility pop
