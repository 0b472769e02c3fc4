// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/few_panel.h"

// Columns that run along k become a piece of a panel in L1: words of 32 bits are turned in registers, kLanes columns by
// four words at a time.
namespace tandem::TANDEM_ISA {

inline constexpr int64_t kPieceBytes = 64;  // of every column: a line of memory
inline constexpr int64_t kTurnBytes = 16;   // of every column: what one turn takes
inline constexpr int64_t kTurnedAhead = 128;

// Bytes of one column behind another, and where the first of the panel lies.
struct Columns {
  const char* first = nullptr;
  int64_t stride = 0, count = 0;

  // A column behind the last is the last.
  TANDEM_INLINE const char* at(int64_t c) const { return first + min64(c, count - 1) * stride; }
};

// to[word][kPanel] from `bytes` (whole turns) of every column. Every second column first where kPairs.
template <bool kPairs>
TANDEM_INLINE void turn_words(const Columns& columns, int64_t place, int64_t bytes, int64_t ahead, int32_t* to) {
  for (int64_t c = 0; c < kPanel; c += kLanes) {
    const char* from[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      const int64_t column = kPairs ? c / (2 * kLanes) * 2 * kLanes + 2 * i + c / kLanes % 2 : c + i;
      from[i] = columns.at(column) + place;
      __builtin_prefetch(from[i] + ahead, 0, 2);
    }
    for (int64_t b = 0; b < bytes; b += kTurnBytes) {
      VecI words[4];
      load_turned(from, b, words);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) store_i(to + (b / 4 + i) * kPanel + c, words[i]);
    }
  }
}

// Words of two 16-bit values of one column to rows of 16-bit values: to[2 * word + s][kPanel].
TANDEM_INLINE void split_pairs(int32_t* words, int64_t count) {
  const VecI low = set_i(0xffff), high = set_i(static_cast<int32_t>(0xffff0000));
  for (int64_t word = 0; word < count; ++word, words += kPanel) {
    VecI first[kPanelVecs / 2], second[kPanelVecs / 2];
#pragma GCC unroll 16
    for (int v = 0; v < kPanelVecs / 2; ++v) {
      const VecI even = load_i(words + 2 * v * kLanes), odd = load_i(words + (2 * v + 1) * kLanes);
      first[v] = or_i(and_i(even, low), shift_left<16>(odd));
      second[v] = or_i(and_i(shift_right<16>(even), low), and_i(odd, high));
    }
#pragma GCC unroll 16
    for (int v = 0; v < kPanelVecs / 2; ++v) {
      store_i(words + v * kLanes, first[v]);
      store_i(words + kPanel / 2 + v * kLanes, second[v]);
    }
  }
}

}  // namespace tandem::TANDEM_ISA
