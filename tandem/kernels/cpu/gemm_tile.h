// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/codec.h"

// The register tile of a product: rows by a strip of one or two vectors of columns, k rising, one fma per product.
namespace tandem::TANDEM_ISA {

// Sums fill the registers beside a strip of weights and one activation.
static_assert(kStripVecs == 2);
inline constexpr int kTileMost = (kRegisters - kStripVecs - 1) / kStripVecs;
static_assert(kTileMost * kStripVecs >= kFmaInFlight);

// A tile's activations lie as [k][rows], its sums as [rows][columns of the strip]. All sums lie `place` behind their
// pointers.
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
  // Weights that come after this piece: kSteps rows of k fetch next_lines lines beside each other. Where next_mask is 0
  // they go on by next_step bytes; else (next_mask + 1) >> next_shift such spans make a row, next_step to the next one.
  const char* next = nullptr;
  int64_t next_step = 0, next_lines = 1, next_mask = 0;
  int next_shift = 0;
};

template <int kVecs, class T>
TANDEM_INLINE T* at(T* sums, int row, int vec) {
  return sums + (row * kVecs + vec) * kLanes;
}

// Rows of k between two looks at what is not a product: small tiles are bound by issue slots where another thread of
// the core wants them too.
inline constexpr int kSteps = 4;

// Every vector of a tile; unrolled, since one loop over them that is not keeps all of them in memory.
template <int kRows, int kVecs, class Body>
TANDEM_INLINE void for_tile(const Body& body) {
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) body(r, v);
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

// Stored weights of vectors [kFirst, kFirst + kVecs) of a block, decoded in registers. `shift` is bias - offset (one) or
// the offset (two) of their columns.
template <class Codec, int kFirst, int kVecs, Shift kShift>
struct Stored {
  const char* row;
  int64_t pitch, phase;
  Vec shift[kVecs];

  TANDEM_INLINE Stored(const StoredRows& from, const float* shifts)
      : row(static_cast<const char*>(from.row)), pitch(from.pitch), phase(from.phase) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) shift[v] = TANDEM_ISA::load(shifts + (kFirst + v) * kLanes);
  }
  TANDEM_INLINE void load(int64_t kk, Vec* w) const {
    w[0] = one<0>(kk);
    if constexpr (kVecs == 2) w[1] = one<1>(kk);
  }

 private:
  template <int kVec>
  TANDEM_INLINE Vec one(int64_t kk) const {
    const Vec raw = raw_of<kFirst + kVec>(kk);
    if constexpr (kShift == Shift::one) return sub(raw, shift[kVec]);
    if constexpr (kShift == Shift::two) return add(sub(raw, set(Codec::bias(kFirst + kVec))), shift[kVec]);
    return raw;
  }
  template <int kVec>
  TANDEM_INLINE Vec raw_of(int64_t kk) const {
    if constexpr (Codec::kPerWord == 1) {
      return Codec::template one<kVec>(row + kk * pitch);
    } else {
      const int64_t place = kk + phase;
      return Codec::template one<kVec>(row + place / Codec::kPerWord * pitch, place % Codec::kPerWord);
    }
  }
};

// Runs the sums through the end of a run and of a leaf, as far as the tile asks for it, and stores them.
template <int kRows, int kVecs>
TANDEM_INLINE void end_tile(const Tile& tile, Vec (&sum)[kRows][kVecs]) {
  const float* leaf = tile.leaf + tile.place;
  if (tile.scale != nullptr && tile.leaf == nullptr) {
    for_tile<kRows, kVecs>([&](int r, int v) { sum[r][v] = fma(sum[r][v], load(tile.scale + v * kLanes), set(0.0f)); });
  } else if (tile.scale != nullptr) {
    for_tile<kRows, kVecs>([&](int r, int v) {
      sum[r][v] = fma(sum[r][v], load(tile.scale + v * kLanes), load(at<kVecs>(leaf, r, v)));
    });
  }
  const float* level = tile.level + tile.place;
  for (int64_t i = 0; i < tile.levels; ++i, level -= tile.level_step) {
    for_tile<kRows, kVecs>([&](int r, int v) { sum[r][v] = add(load(at<kVecs>(level, r, v)), sum[r][v]); });
  }
  float* out = tile.out + tile.place;
  for_tile<kRows, kVecs>([&](int r, int v) { store(at<kVecs>(out, r, v), sum[r][v]); });
}

template <int kRows, int kVecs, class Weights>
void run_tile(const Tile& tile, const Weights& shared) {
  const Weights weights = shared;  // read once: nothing the loop stores can change it
  const int64_t count = tile.count, next_step = tile.next_step, mask = tile.next_mask;
  const int64_t span = tile.next_lines * 64;
  const int shift = tile.next_shift;
  Vec sum[kRows][kVecs];
  if (tile.begin == nullptr) {
    for_tile<kRows, kVecs>([&](int r, int v) { sum[r][v] = set(0.0f); });
  } else {
    for_tile<kRows, kVecs>([&](int r, int v) { sum[r][v] = load(at<kVecs>(tile.begin + tile.place, r, v)); });
  }
  const float* x = tile.x;
  const auto step = [&](int64_t kk) __attribute__((always_inline)) {
    Vec w[kVecs];
    weights.load(kk, w);
    Vec w0 = w[0], w1 = w[kVecs - 1];  // an array that asm touches would be stored in every step
    keep_in_register(w0);
    if constexpr (kVecs == 2) keep_in_register(w1);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      Vec a = set(x[r]);
      keep_in_register(a);
      sum[r][0] = fma(a, w0, sum[r][0]);
      if constexpr (kVecs == 2) sum[r][1] = fma(a, w1, sum[r][1]);
    }
    x += kRows;
  };
  const char* next = tile.next;
  int64_t kk = 0;
  for (int64_t group = 0; kk + kSteps <= count; kk += kSteps, ++group) {
    const char* line = next + ((group & mask) >> shift) * span;
    for (const char* end = line + span; line < end; line += 64) __builtin_prefetch(line, 0, 2);
    next += (group & mask) == mask ? next_step : 0;
    if constexpr (kRows * kVecs <= 16 && !kInstrumented) {
#pragma GCC unroll 16
      for (int i = 0; i < kSteps; ++i) step(kk + i);
    } else {
#pragma GCC unroll 1
      for (int i = 0; i < kSteps; ++i) step(kk + i);
    }
  }
  for (; kk < count; ++kk) step(kk);
  end_tile<kRows, kVecs>(tile, sum);
}

// The tile of exactly `rows` rows.
template <int kRows = kTileMost>
TANDEM_INLINE void run_tile_of(int64_t rows, const Tile& tile, const Decoded& weights) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return run_tile_of<kRows - 1>(rows, tile, weights);
  }
  run_tile<kRows, kStripVecs>(tile, weights);
}

}  // namespace tandem::TANDEM_ISA
