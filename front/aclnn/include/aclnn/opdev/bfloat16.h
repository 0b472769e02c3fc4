// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNN_BFLOAT16_H
#define TANDEM_ACLNN_BFLOAT16_H
#include <cstdint>
#include <cstring>
#include <limits>

namespace op {

// The upper half of a float. From a float: nearest even; NaN becomes 0x7FC0.
struct bfloat16 {
  struct from_bits_t {};
  static constexpr from_bits_t from_bits() { return from_bits_t(); }

  uint16_t value;

  constexpr bfloat16() : value(0) {}
  constexpr bfloat16(uint16_t bits, from_bits_t) : value(bits) {}
  bfloat16(float number) : value(round_to_bfloat16(number)) {}
  operator float() const {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    float number = 0;
    std::memcpy(&number, &bits, sizeof(number));
    return number;
  }

  bfloat16& operator+=(bfloat16 other) { return *this = bfloat16(float(*this) + float(other)); }
  bfloat16& operator-=(bfloat16 other) { return *this = bfloat16(float(*this) - float(other)); }
  bfloat16& operator*=(bfloat16 other) { return *this = bfloat16(float(*this) * float(other)); }
  bfloat16& operator/=(bfloat16 other) { return *this = bfloat16(float(*this) / float(other)); }

  static uint16_t round_to_bfloat16(float number) {
    uint32_t bits = 0;
    std::memcpy(&bits, &number, sizeof(bits));
    if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>(0x7fc0U);
    return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
  }
};

}  // namespace op

namespace std {
template <>
class numeric_limits<op::bfloat16> {
 public:
  static constexpr bool is_specialized = true;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = false;
  static constexpr bool is_exact = false;
  static constexpr bool has_infinity = true;
  static constexpr bool has_quiet_NaN = true;
  static constexpr int digits = 8;
  static constexpr int radix = 2;
  static constexpr int min_exponent = -125;
  static constexpr int max_exponent = 128;
  static constexpr op::bfloat16 min() { return op::bfloat16(0x0080U, op::bfloat16::from_bits()); }
  static constexpr op::bfloat16 max() { return op::bfloat16(0x7f7fU, op::bfloat16::from_bits()); }
  static constexpr op::bfloat16 lowest() { return op::bfloat16(0xff7fU, op::bfloat16::from_bits()); }
  static constexpr op::bfloat16 epsilon() { return op::bfloat16(0x3c00U, op::bfloat16::from_bits()); }
  static constexpr op::bfloat16 round_error() { return op::bfloat16(0x3f00U, op::bfloat16::from_bits()); }
  static constexpr op::bfloat16 infinity() { return op::bfloat16(0x7f80U, op::bfloat16::from_bits()); }
  static constexpr op::bfloat16 quiet_NaN() { return op::bfloat16(0x7fc0U, op::bfloat16::from_bits()); }
  static constexpr op::bfloat16 denorm_min() { return op::bfloat16(0x0001U, op::bfloat16::from_bits()); }
};
}  // namespace std
#endif
