// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#pragma GCC visibility push(default)
namespace tandem {

  // FIPS 180-4. For comparing long outputs by a short text, not for keeping secrets.
  class Sha256 {
   public:
    void update(std::span<const std::byte> bytes);
    // 64 hexadecimal digits; the object must not be used afterwards.
    std::string finish();

   private:
    void compress(const std::byte* block);

    std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::byte, 64> buffer_{};
    uint64_t length_ = 0;
  };

}  // namespace tandem
#pragma GCC visibility pop
