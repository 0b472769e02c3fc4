// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

// The characters that byte-level vocabularies write bytes as: printable Latin-1 bytes stand for themselves, the others
// for U+0100 and up in their order.
namespace tandem {

// Character of each byte.
constexpr std::array<uint16_t, 256> byte_characters() {
  std::array<uint16_t, 256> characters{};
  uint16_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    characters[byte] = printable ? static_cast<uint16_t>(byte) : next++;
  }
  return characters;
}

inline constexpr std::array<uint16_t, 256> kByteCharacters = byte_characters();

inline std::string byte_text(unsigned char byte) {
  const uint16_t character = kByteCharacters[byte];
  if (character < 0x80) return std::string(1, static_cast<char>(character));
  return {static_cast<char>(0xc0 | character >> 6), static_cast<char>(0x80 | (character & 0x3f))};
}

// The bytes that `text` writes; `text` itself where a character stands for none.
inline std::string bytes_of(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const bool two = lead >= 0xc0 && lead < 0xe0 && at + 1 < text.size();
    if (lead >= 0x80 && !two) return std::string(text);
    const unsigned character = two ? (lead & 0x1fu) << 6 | (static_cast<unsigned char>(text[at + 1]) & 0x3fu) : lead;
    unsigned byte = 0;
    while (byte < 256 && kByteCharacters[byte] != character) ++byte;
    if (byte == 256) return std::string(text);
    bytes += static_cast<char>(byte);
    at += two ? 2 : 1;
  }
  return bytes;
}

}  // namespace tandem
