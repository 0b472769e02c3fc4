// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/rows.h"
#include "tandem/kernels/gemm.h"

// Blocks of kBlockN columns by up to kBlockK rows of k, decoded to f32 in strips: element (kk, c) of a block lies at
// c / kStrip * kStripSize + kk * kStrip + c % kStrip. Columns behind the last are zero.
namespace tandem::TANDEM_ISA {

inline constexpr int64_t kBlockN = 64;
inline constexpr int64_t kBlockK = kLanes == 16 ? 128 : 256;  // the strip of a tile stays in L1
inline constexpr int64_t kStrip = kTileVecs * kLanes;
inline constexpr int64_t kStripSize = kBlockK * kStrip;
inline constexpr int64_t kStrips = kBlockN / kStrip;
static_assert(kBlockN % kStrip == 0 && kStrip % 4 == 0 && kBlockN % kPanel == 0 && kBlockK % 4 == 0);

// Columns [column, column + columns) by rows [row, row + rows) of k, with the offset of each column or nullptr.
struct PanelArgs {
  Weight w;
  int64_t k = 0;
  int64_t column = 0, columns = 0;
  int64_t row = 0, rows = 0;
  const float* offset = nullptr;  // [kBlockN]
};

TANDEM_INLINE float* strip_of(float* panel, int64_t c) { return panel + c / kStrip * kStripSize + c % kStrip; }

// Columns side by side in memory, one vector of them at a time: packed panels and the border of row-major weights.
template <class W, bool kOffset>
TANDEM_INLINE void decode_columns(const PanelArgs& args, float* panel) {
  const int64_t step = args.w.panel != 0 ? args.w.panel : args.w.stride_k;
  for (int64_t c = 0; c < kBlockN; c += kLanes) {
    float* to = strip_of(panel, c);
    if (c >= args.columns) {
      for (int64_t kk = 0; kk < args.rows; ++kk) store(to + kk * kStrip, set(0.0f));
      continue;
    }
    const int64_t from = weight_index(args.w, args.k, args.row, args.column + c);
    const int64_t count = args.w.panel != 0 ? kLanes : args.columns - c;
    const Vec offset = kOffset ? load(args.offset + c) : set(0.0f);
    for (int64_t kk = 0; kk < args.rows; ++kk) {
      Vec v = load_up_to<W>(args.w.data, from + kk * step, count);
      if constexpr (kOffset) v = add(v, offset);
      store(to + kk * kStrip, v);
    }
  }
}

// Whole rows of a row-major block: every line of memory is read once.
template <class W, bool kOffset>
TANDEM_INLINE void decode_rows(const PanelArgs& args, float* panel) {
  const int64_t from = weight_index(args.w, args.k, args.row, args.column);
  for (int64_t kk = 0; kk < args.rows; ++kk) {
#pragma GCC unroll 16
    for (int64_t c = 0; c < kBlockN; c += kLanes) {
      Vec v = W::load(args.w.data, from + kk * args.w.stride_k + c);
      if constexpr (kOffset) v = add(v, load(args.offset + c));
      store(strip_of(panel, c) + kk * kStrip, v);
    }
  }
}

// `count` elements of one column along k, padded with zeros to whole fours.
template <class W, bool kOffset>
TANDEM_INLINE void read_column(const PanelArgs& args, int64_t c, int64_t first, int64_t count, float* line) {
  const int64_t present = c < args.columns ? count : 0;
  read_row<W>(args.w.data, weight_index(args.w, args.k, args.row + first, args.column + c), present, line);
  if constexpr (kOffset) {
    for (int64_t kk = 0; kk < present; ++kk) line[kk] += args.offset[c];
  }
  for (int64_t kk = present; kk < (count + 3) / 4 * 4; ++kk) line[kk] = 0;
}

// Columns that run along k: turned by 4 x 4 through a small buffer.
template <class W, bool kOffset>
TANDEM_INLINE void decode_transposed(const PanelArgs& args, float* panel) {
  constexpr int64_t kPiece = 64;
  alignas(64) float lines[4 * kPiece];
  for (int64_t c = 0; c < kBlockN; c += 4) {
    float* to = strip_of(panel, c);
    for (int64_t first = 0; first < args.rows; first += kPiece) {
      const int64_t count = min64(kPiece, args.rows - first);
      for (int64_t i = 0; i < 4; ++i) read_column<W, kOffset>(args, c + i, first, count, lines + i * kPiece);
      for (int64_t kk = 0; kk < count; kk += 4) transpose4x4(lines + kk, kPiece, to + (first + kk) * kStrip, kStrip);
    }
  }
}

// Any strides, one element at a time.
template <class W>
TANDEM_INLINE void decode_any(const PanelArgs& args, float* panel) {
  for (int64_t c = 0; c < kBlockN; ++c) {
    float* to = strip_of(panel, c);
    for (int64_t kk = 0; kk < args.rows; ++kk) {
      float v = 0;
      if (c < args.columns) {
        v = W::one(args.w.data, weight_index(args.w, args.k, args.row + kk, args.column + c));
        if (args.w.panel != 0 && args.w.dtype == DType::i4) v = v < 0 ? v + 8.0f : v - 8.0f;  // stored as w + 8
        if (args.offset != nullptr) v += args.offset[c];
      }
      to[kk * kStrip] = v;
    }
  }
}

template <class W, bool kOffset>
TANDEM_INLINE void decode_as(const PanelArgs& args, float* panel) {
  if (args.w.panel == kPanel && args.w.dtype != DType::i4) return decode_columns<W, kOffset>(args, panel);
  if (args.w.panel != 0) return decode_any<W>(args, panel);
  if (args.w.stride_n == 1 && args.columns == kBlockN) return decode_rows<W, kOffset>(args, panel);
  if (args.w.stride_n == 1) return decode_columns<W, kOffset>(args, panel);
  if (args.w.stride_k == 1) return decode_transposed<W, kOffset>(args, panel);
  decode_any<W>(args, panel);
}

template <class W>
void decode_panel(const PanelArgs& args, float* panel) {
  if (args.offset != nullptr) return decode_as<W, true>(args, panel);
  decode_as<W, false>(args, panel);
}

}  // namespace tandem::TANDEM_ISA
