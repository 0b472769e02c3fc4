// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/integer_rows.h"

// Register tiles of integer products: sums[r][c] += x * w over some steps of one run.
namespace tandem::TANDEM_ISA {

struct IntTile {
  const int32_t* x = nullptr;      // [step][row of the tile]
  int64_t steps = 0;
  const int32_t* strip = nullptr;  // [step][kIntStrip]
  int32_t* sum = nullptr;          // [row][kIntN]
  const int32_t* start = nullptr;  // [row] where sums begin; nullptr: they go on
  const uint8_t* ahead = nullptr;  // weights asked for on the way, ahead_step bytes each step
  int64_t ahead_step = 0;
};

TANDEM_INLINE VecI first_sum(const IntTile& tile, int r, int v) {
  if (tile.start == nullptr) return load_i(tile.sum + r * kIntN + v * kLanes);
  return set_i(tile.start[r]);
}

template <int kRows, class Dot>
TANDEM_INLINE void tile_steps(const IntTile& tile, int64_t first, int64_t count, VecI (&sum)[kRows][kIntVecs]) {
  const int32_t* x = tile.x + first * kRows;
  const int32_t* strip = tile.strip + first * kIntStrip;
  const uint8_t* ahead = tile.ahead + first * tile.ahead_step;
  for (int64_t s = 0; s < count; ++s) {
    if constexpr (kRows >= 4) __builtin_prefetch(ahead + s * tile.ahead_step);
    VecI w[kIntVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kIntVecs; ++v) {
      w[v] = load_i(strip + s * kIntStrip + v * kLanes);
      keep_in_register(w[v]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      VecI a = set_i(x[s * kRows + r]);
      keep_in_register(a);
#pragma GCC unroll 16
      for (int v = 0; v < kIntVecs; ++v) {
        if constexpr (Dot::kNarrow > 0) {
          sum[r][v] = add16(sum[r][v], products16(w[v], a));
          keep_in_register(sum[r][v]);
        } else {
          sum[r][v] = Dot::dot(sum[r][v], w[v], a);
        }
      }
    }
  }
}

template <int kRows, class Dot>
void int_tile(const IntTile& tile) {
  VecI sum[kRows][kIntVecs];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kIntVecs; ++v) sum[r][v] = first_sum(tile, r, v);
  }
  tile_steps<kRows, Dot>(tile, 0, tile.steps, sum);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kIntVecs; ++v) store_i(tile.sum + r * kIntN + v * kLanes, sum[r][v]);
  }
}

// Sums of 16 bits, widened before they could leave them.
template <int kRows, class Dot>
  requires(Dot::kNarrow > 0)
void int_tile(const IntTile& tile) {
  for (int64_t first = 0; first < tile.steps; first += Dot::kNarrow) {
    VecI sum[kRows][kIntVecs];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kIntVecs; ++v) sum[r][v] = set_i(0);
    }
    tile_steps<kRows, Dot>(tile, first, min64(Dot::kNarrow, tile.steps - first), sum);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kIntVecs; ++v) {
        int32_t* to = tile.sum + r * kIntN + v * kLanes;
        store_i(to, widen16(first == 0 ? first_sum(tile, r, v) : load_i(to), sum[r][v]));
      }
    }
  }
}

template <class Dot>
void int_tile(const IntTile& tile, int64_t rows) {
  static_assert(kIntRows <= 12);
  constexpr int kMost = kRowsOf<Dot>;
  switch (rows) {
    case 1: return int_tile<1, Dot>(tile);
    case 2: return int_tile<2, Dot>(tile);
#if !defined(TANDEM_ISA_IS_portable)
    case 3: return int_tile<(3 < kMost ? 3 : kMost), Dot>(tile);
    case 4: return int_tile<(4 < kMost ? 4 : kMost), Dot>(tile);
    case 5: return int_tile<(5 < kMost ? 5 : kMost), Dot>(tile);
    case 6: return int_tile<(6 < kMost ? 6 : kMost), Dot>(tile);
    case 7: return int_tile<(7 < kMost ? 7 : kMost), Dot>(tile);
    case 8: return int_tile<(8 < kMost ? 8 : kMost), Dot>(tile);
    case 9: return int_tile<(9 < kMost ? 9 : kMost), Dot>(tile);
    case 10: return int_tile<(10 < kMost ? 10 : kMost), Dot>(tile);
    case 11: return int_tile<(11 < kMost ? 11 : kMost), Dot>(tile);
#endif
    default: return int_tile<kMost, Dot>(tile);
  }
}

// One row by the 64 columns of a panel, straight from its lines: sums stay in registers.
struct IntLine {
  const int32_t* x = nullptr;  // [step]
  int64_t steps = 0;
  Lines lines;
  int32_t* sum = nullptr;      // [kIntN]
  int32_t start = 0;           // sums begin here
};

inline constexpr int64_t kIntAhead = 2048;  // bytes that are asked for before they are needed

template <class Dot, bool kNibbles>
void int_line(const IntLine& line) {
  constexpr int kVecs = kIntN / kLanes;
  constexpr int64_t kRowBytes = kNibbles ? kIntN / 2 : kIntN;
  VecI sum[kVecs];
#pragma GCC unroll 16
  for (int v = 0; v < kVecs; ++v) sum[v] = set_i(line.start);
  const VecI flip = set_i(line.lines.flip);
  const int64_t whole = (line.lines.last + 1) / Dot::kWidth;
  const uint8_t* from = line.lines.data;
  const auto step = [&](const uint8_t* const (&row)[Dot::kWidth], int64_t s) {
    const VecI a = set_i(line.x[s]);
    unpack_step<Dot, kNibbles>(row, flip, [&](int v, VecI w) { sum[v] = Dot::dot(sum[v], w, a); });
  };
  for (int64_t s = 0; s < whole; ++s) {
    const uint8_t* row[Dot::kWidth];
#pragma GCC unroll 4
    for (int i = 0; i < Dot::kWidth; ++i) row[i] = from + i * kRowBytes;
#pragma GCC unroll 4
    for (int64_t i = 0; i < Dot::kWidth * kRowBytes; i += 64) __builtin_prefetch(from + kIntAhead + i);
    step(row, s);
    from += Dot::kWidth * kRowBytes;
  }
  if (whole < line.steps) {
    const uint8_t* row[Dot::kWidth];
#pragma GCC unroll 4
    for (int i = 0; i < Dot::kWidth; ++i) row[i] = line.lines.at(whole * Dot::kWidth + i);
    step(row, whole);
  }
#pragma GCC unroll 16
  for (int v = 0; v < kVecs; ++v) store_i(line.sum + v * kLanes, sum[v]);
}

}  // namespace tandem::TANDEM_ISA
