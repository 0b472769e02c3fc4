// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace tandem {

// SplitMix64 of Steele, Lea and Flood: spreads a seed over a larger state.
struct SplitMix64 {
  uint64_t state = 0;
  constexpr uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
};

// xoshiro256** of Blackman and Vigna: the same numbers on every machine.
struct Random {
  std::array<uint64_t, 4> state{};

  constexpr explicit Random(uint64_t seed) {
    SplitMix64 spread{seed};
    for (uint64_t& word : state) word = spread.next();
  }

  constexpr uint64_t next() {
    const uint64_t result = std::rotl(state[1] * 5, 7) * 9;
    const uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = std::rotl(state[3], 45);
    return result;
  }

  // In [0, 1), 53 bits.
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
};

}  // namespace tandem
