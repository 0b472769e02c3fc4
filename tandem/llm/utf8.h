// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string_view>

namespace tandem {

inline constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";

// How a text begins: a whole character of `bytes` bytes, a broken byte, or a beginning that more bytes could complete.
struct Utf8Start {
  enum class Kind { whole, broken, incomplete } kind;
  size_t bytes;
};

// Of a text that is not empty. Follows the table of well-formed sequences (Unicode 15, table 3-7): no overlong forms,
// no surrogates.
constexpr Utf8Start utf8_start(std::string_view text) {
  using Kind = Utf8Start::Kind;
  const auto byte = [&](size_t i) -> unsigned { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {Kind::whole, 1};
  if (first < 0xc2 || first > 0xf4) return {Kind::broken, 1};
  const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  unsigned low = 0x80;
  unsigned high = 0xbf;
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;
  for (size_t i = 1; i < length; ++i) {
    if (i >= text.size()) return {Kind::incomplete, i};
    if (byte(i) < low || byte(i) > high) return {Kind::broken, 1};
    low = 0x80;
    high = 0xbf;
  }
  return {Kind::whole, length};
}

}  // namespace tandem
