// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/codec.h"

// The register tile of a product: up to kTileMost rows by one strip of columns, k rising, one fma per product.
namespace tandem::TANDEM_ISA {

// Sums fill the registers beside a strip of weights and one activation.
static_assert(kStripVecs == 2);
inline constexpr int kTileMost = (kRegisters - kStripVecs - 1) / kStripVecs;
static_assert(kTileMost * kStripVecs >= kFmaInFlight);

// A tile's activations lie as [k][rows], its sums as [rows][kStripColumns]. All sums lie `place` behind their pointers.
struct Tile {
  const float* x = nullptr;
  int64_t count = 0;             // rows of k
  int64_t place = 0;
  const float* begin = nullptr;  // sums so far; null: +0
  const float* scale = nullptr;  // end of a run: sum = fma(sum, scale, leaf); null: no scale
  const float* leaf = nullptr;   // null: +0
  const float* level = nullptr;  // end of a leaf: sum = level + sum, `levels` times, going down by level_step
  int64_t levels = 0, level_step = 0;
  float* out = nullptr;
  const char* next = nullptr;  // weights that come after this piece: prefetched, one line per row of k
  int64_t next_step = 0;
};

template <class T>
TANDEM_INLINE T* at(T* sums, int row, int vec) { return sums + row * kStripColumns + vec * kLanes; }

// Every vector of a tile; unrolled, since one loop over them that is not keeps all of them in memory.
template <int kRows, class Body>
TANDEM_INLINE void for_tile(const Body& body) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kStripVecs; ++v) body(r, v);
  }
}

// Weights of a strip that were decoded before.
struct Decoded {
  const float* strip;
  int64_t pitch;
  TANDEM_INLINE void load(int64_t kk, Vec* w) const {
#pragma GCC unroll 16
    for (int v = 0; v < kStripVecs; ++v) w[v] = TANDEM_ISA::load(strip + kk * pitch + v * kLanes);
  }
};

// Rows of k of one block of columns, as a codec reads them. Row kk is kk + phase where words hold several.
struct StoredRows {
  const void* row = nullptr;
  int64_t pitch = 0;  // bytes
  int64_t phase = 0;
};

// How raw weights become t.
enum class Shift : uint8_t { none, one, two };

// Stored weights, decoded in registers. `shift` is bias - offset (one) or the offset (two) of the strip's columns.
template <class Codec, int kStripIndex, Shift kShift>
struct Stored {
  const char* row;
  int64_t pitch, phase;
  Vec shift[kStripVecs];

  TANDEM_INLINE Stored(const StoredRows& from, const float* shifts)
      : row(static_cast<const char*>(from.row)), pitch(from.pitch), phase(from.phase) {
#pragma GCC unroll 16
    for (int v = 0; v < kStripVecs; ++v) shift[v] = TANDEM_ISA::load(shifts + kStripIndex * kStripColumns + v * kLanes);
  }
  TANDEM_INLINE void load(int64_t kk, Vec* w) const {
    if constexpr (Codec::kPerWord == 1) Codec::template raw<kStripIndex>(row + kk * pitch, w);
    if constexpr (Codec::kPerWord > 1) {
      const int64_t place = kk + phase;
      Codec::template raw<kStripIndex>(row + place / Codec::kPerWord * pitch, place % Codec::kPerWord, w);
    }
#pragma GCC unroll 16
    for (int v = 0; v < kStripVecs; ++v) {
      if constexpr (kShift == Shift::one) w[v] = sub(w[v], shift[v]);
      if constexpr (kShift == Shift::two) {
        w[v] = add(sub(w[v], set(Codec::bias(kStripIndex * kStripVecs + v))), shift[v]);
      }
    }
  }
};

// Runs the sums through the end of a run and of a leaf, as far as the tile asks for it, and stores them.
template <int kRows>
TANDEM_INLINE void end_tile(const Tile& tile, Vec (&sum)[kRows][kStripVecs]) {
  const float* leaf = tile.leaf + tile.place;
  if (tile.scale != nullptr && tile.leaf == nullptr) {
    for_tile<kRows>([&](int r, int v) { sum[r][v] = fma(sum[r][v], load(tile.scale + v * kLanes), set(0.0f)); });
  } else if (tile.scale != nullptr) {
    for_tile<kRows>([&](int r, int v) {
      sum[r][v] = fma(sum[r][v], load(tile.scale + v * kLanes), load(at(leaf, r, v)));
    });
  }
  const float* level = tile.level + tile.place;
  for (int64_t i = 0; i < tile.levels; ++i, level -= tile.level_step) {
    for_tile<kRows>([&](int r, int v) { sum[r][v] = add(load(at(level, r, v)), sum[r][v]); });
  }
  float* out = tile.out + tile.place;
  for_tile<kRows>([&](int r, int v) { store(at(out, r, v), sum[r][v]); });
}

template <int kRows, class Weights>
void run_tile(const Tile& tile, const Weights& shared) {
  const Weights weights = shared;  // read once: nothing the loop stores can change it
  const int64_t count = tile.count, next_step = tile.next_step;
  Vec sum[kRows][kStripVecs];
  if (tile.begin == nullptr) {
    for_tile<kRows>([&](int r, int v) { sum[r][v] = set(0.0f); });
  } else {
    for_tile<kRows>([&](int r, int v) { sum[r][v] = load(at(tile.begin + tile.place, r, v)); });
  }
  const float* x = tile.x;
  const char* next = tile.next;
  for (int64_t kk = 0; kk < count; ++kk, x += kRows, next += next_step) {
    Vec w[kStripVecs];
    weights.load(kk, w);
    __builtin_prefetch(next, 0, 2);
    Vec w0 = w[0], w1 = w[1];  // an array that asm touches would be stored in every step
    keep_in_register(w0);
    keep_in_register(w1);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      Vec a = set(x[r]);
      keep_in_register(a);
      sum[r][0] = fma(a, w0, sum[r][0]);
      sum[r][1] = fma(a, w1, sum[r][1]);
    }
  }
  end_tile<kRows>(tile, sum);
}

// The tile of exactly `rows` rows.
template <int kRows = kTileMost>
TANDEM_INLINE void run_tile_of(int64_t rows, const Tile& tile, const Decoded& weights) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return run_tile_of<kRows - 1>(rows, tile, weights);
  }
  run_tile<kRows>(tile, weights);
}

}  // namespace tandem::TANDEM_ISA
