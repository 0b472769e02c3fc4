// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#pragma GCC visibility push(default)
namespace tandem {

// Element `index` of a packed i4 stream: two's complement nibble, even elements in the low half of the byte.
[[gnu::always_inline]] constexpr int int4_get(const uint8_t* bytes, int64_t index) {
  const int nibble = (index & 1) != 0 ? bytes[index >> 1] >> 4 : bytes[index >> 1] & 15;
  return nibble >= 8 ? nibble - 16 : nibble;
}

[[gnu::always_inline]] constexpr void int4_set(uint8_t* bytes, int64_t index, int value) {
  uint8_t& byte = bytes[index >> 1];
  const int nibble = value & 15;
  byte = static_cast<uint8_t>((index & 1) != 0 ? (byte & 0x0f) | nibble << 4 : (byte & 0xf0) | nibble);
}

}  // namespace tandem
#pragma GCC visibility pop
