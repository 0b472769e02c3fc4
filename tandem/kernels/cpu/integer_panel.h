// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/int4.h"
#include "tandem/kernels/cpu/dot_i8.h"
#include "tandem/kernels/gemm.h"

// Weights of 64 columns in the layout of the dot instructions: lane c of step s holds rows s * width.. of k of column c.
// A panel is cut into strips as wide as a register tile: (c / kIntStrip * kIntSteps + s) * kIntStrip + c % kIntStrip.
namespace tandem::TANDEM_ISA {

#if defined(TANDEM_ISA_IS_portable)
inline constexpr int kIntRows = 2, kIntVecs = 2;
#else
// AVX-512 and NEON have 32 registers; a product of AVX2 needs one of its own before the addition.
inline constexpr int kIntRows = kLanes == 16 ? 12 : 6;
inline constexpr int kIntVecs = kLanes == 4 ? 4 : 2;
#endif
// g++ spills the 16-bit sums of more rows where there are 16 registers.
template <class Dot>
inline constexpr int kRowsOf = Dot::kNarrow > 0 && kLanes == 8 ? 4 : kIntRows;
inline constexpr int64_t kIntN = 64;
inline constexpr int64_t kIntSteps = 64;  // a panel fills 16 KiB: it stays in L1 beside the rows that stream by
inline constexpr int64_t kIntStrip = kIntVecs * kLanes;
inline constexpr int64_t kIntPanel = kIntN * kIntSteps;
static_assert(kIntN == kPanel && kIntN % kIntStrip == 0);

TANDEM_INLINE int32_t* int_place(int32_t* panel, int64_t c) {
  return panel + c / kIntStrip * (kIntStrip * kIntSteps) + c % kIntStrip;
}

// Vectors of 4 * kLanes columns from rows of bytes; put(vector, lanes).
template <class Put>
TANDEM_INLINE void pairs_of_bytes(VecI a, VecI b, const Put& put) {
  const VecI even = set_i(0x00ff00ff);
  a = pair_bytes(spread_dwords(a));
  b = pair_bytes(spread_dwords(b));
  const VecI low = low16(a, b), high = high16(a, b);
  put(0, and_i(low, even));
  put(1, odd_bytes(low));
  put(2, and_i(high, even));
  put(3, odd_bytes(high));
}
template <class Put>
TANDEM_INLINE void quads_of_lines(VecI a, VecI b, VecI c, VecI d, const Put& put) {
  const VecI ab0 = low8(a, b), ab1 = high8(a, b), cd0 = low8(c, d), cd1 = high8(c, d);
  put(0, low16(ab0, cd0));
  put(1, high16(ab0, cd0));
  put(2, low16(ab1, cd1));
  put(3, high16(ab1, cd1));
}

// Shifts that bring nibble `step` of a word down; with 16 lanes the upper half takes the nibble behind it.
TANDEM_INLINE VecI nibble_shift(int nibble) {
  alignas(64) static constexpr int32_t kUpper[16] = {0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4};
  return kLanes == 16 ? add_i(set_i(4 * nibble), load_i(kUpper)) : set_i(4 * nibble);
}
// A row of packed nibbles is 8 words: kNibbleVecs vectors, repeated to fill a vector of 16.
inline constexpr int kNibbleVecs = kLanes >= 8 ? 1 : 8 / kLanes;
inline constexpr int kNibblesEach = kLanes == 16 ? 2 : 1;  // nibbles of one word that one vector of columns takes

// All 64 columns of two rows of packed nibbles; vectors by column.
template <class Put>
TANDEM_INLINE void pairs_of_nibbles(const uint8_t* a, const uint8_t* b, const Put& put) {
  const VecI mask = set_i(0x000f000f);
#pragma GCC unroll 2
  for (int u = 0; u < kNibbleVecs; ++u) {
    const VecI va = load_nibbles(a + u * 16), vb = load_nibbles(b + u * 16);
    const VecI low = low_halves(va, vb), high = high_halves(va, vb);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j += kNibblesEach) {
      put(j / kNibblesEach * kNibbleVecs + u, and_i(logical_right(low, nibble_shift(j)), mask));
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j += kNibblesEach) {
      put((4 + j) / kNibblesEach * kNibbleVecs + u, and_i(logical_right(high, nibble_shift(j)), mask));
    }
  }
}
template <class Put>
TANDEM_INLINE void quads_of_nibbles(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, const Put& put) {
  const VecI mask = set_i(0x0f0f0f0f);
#pragma GCC unroll 2
  for (int u = 0; u < kNibbleVecs; ++u) {
    const auto line = [&](const uint8_t* row) { return turn_bytes(load_nibbles(row + u * 16)); };
    quads_of_lines(line(a), line(b), line(c), line(d), [&](int q, VecI v) {
#pragma GCC unroll 2
      for (int j = 0; j < 2; j += kNibblesEach) {
        put((2 * q + j) / kNibblesEach * kNibbleVecs + u, and_i(logical_right(v, nibble_shift(j)), mask));
      }
    });
  }
}

// Rows of weights one step takes: bytes (int8, or anything staged) or packed nibbles. flip: what turns stored bytes
// into value + bias.
struct Lines {
  const uint8_t* data = nullptr;
  int64_t stride = 0;
  int64_t last = 0;  // the last row that may be read
  int32_t flip = 0;
  TANDEM_INLINE const uint8_t* at(int64_t row) const { return data + min64(row, last) * stride; }
};

template <class Dot, bool kNibbles, class Put>
TANDEM_INLINE void unpack_step(const uint8_t* const (&row)[Dot::kWidth], VecI flip, const Put& put) {
  if constexpr (kNibbles && Dot::kWidth == 2) {
    pairs_of_nibbles(row[0], row[1], put);
  } else if constexpr (kNibbles) {
    quads_of_nibbles(row[0], row[1], row[2], row[3], put);
  } else {
#pragma GCC unroll 4
    for (int u = 0; u < kIntN / (4 * kLanes); ++u) {
      const auto line = [&](const uint8_t* from) { return xor_i(load_bytes(from + u * 4 * kLanes), flip); };
      const auto here = [&](int v, VecI lanes) { put(4 * u + v, lanes); };
      if constexpr (Dot::kWidth == 2) {
        pairs_of_bytes(line(row[0]), line(row[1]), here);
      } else {
        const auto spread = [&](const uint8_t* from) { return spread_dwords(line(from)); };
        quads_of_lines(spread(row[0]), spread(row[1]), spread(row[2]), spread(row[3]), here);
      }
    }
  }
}

template <class Dot, bool kNibbles>
TANDEM_INLINE void unpack_lines(const Lines& lines, int64_t steps, int32_t* panel) {
  const VecI flip = set_i(lines.flip);
  for (int64_t s = 0; s < steps; ++s) {
    const uint8_t* row[Dot::kWidth];
#pragma GCC unroll 4
    for (int i = 0; i < Dot::kWidth; ++i) row[i] = lines.at(s * Dot::kWidth + i);
    unpack_step<Dot, kNibbles>(row, flip, [&](int v, VecI lanes) {
      store_i(int_place(panel, v * kLanes) + s * kIntStrip, lanes);
    });
  }
}

// Columns [column, column + columns) by rows [row, row + rows) of a weight of k rows.
struct IntPanelArgs {
  Weight w;
  int64_t k = 0, column = 0, columns = 0, row = 0, rows = 0;
};

template <class Dot>
TANDEM_INLINE int32_t byte_flip() {
  return Dot::kBias == 0 ? 0 : static_cast<int32_t>(0x80808080u);
}

// Eight nibbles from element `index` as bytes value + 8.
TANDEM_INLINE uint64_t eight_nibbles(const uint8_t* base, int64_t index) {
  uint64_t raw = 0;
  __builtin_memcpy(&raw, base + (index >> 1), 4);
  if ((index & 1) != 0) raw |= static_cast<uint64_t>(base[(index >> 1) + 4]) << 32;
  raw = (raw >> (4 * (index & 1))) & 0xffffffffu;
  raw = (raw | raw << 16) & 0x0000ffff0000ffffu;
  raw = (raw | raw << 8) & 0x00ff00ff00ff00ffu;
  return ((raw | raw << 4) & 0x0f0f0f0f0f0f0f0fu) ^ 0x0808080808080808u;
}

// Elements [index, index + count) of a row or a column as biased bytes.
template <class Dot>
TANDEM_INLINE void stage_line(const Weight& w, int64_t index, int64_t count, uint8_t* to) {
  const uint8_t* base = static_cast<const uint8_t*>(w.data);
  int64_t i = 0;
  if (w.dtype == DType::i4) {
    for (; i + 8 <= count; i += 8) {
      const uint64_t bytes = eight_nibbles(base, index + i);
      __builtin_memcpy(to + i, &bytes, sizeof bytes);
    }
    for (; i < count; ++i) to[i] = static_cast<uint8_t>(tandem::int4_get(base, index + i) + 8);
    return;
  }
  for (; i < count; ++i) to[i] = static_cast<uint8_t>(base[index + i] ^ (byte_flip<Dot>() & 0xff));
}

template <class Dot>
void stage_rows(const IntPanelArgs& args, uint8_t* stage) {
  for (int64_t kk = 0; kk < args.rows; ++kk) {
    uint8_t* to = stage + kk * kIntN;
    for (int64_t c = args.columns; c < kIntN; ++c) to[c] = 0;
    if (args.w.panel == 0 && args.w.stride_n == 1) {
      stage_line<Dot>(args.w, weight_index(args.w, args.k, args.row + kk, args.column), args.columns, to);
      continue;
    }
    const uint8_t above = args.w.panel != 0 && args.w.dtype == DType::i4 ? 8 : 0;  // panels hold value + 8 already
    for (int64_t c = 0; c < args.columns; ++c) {
      stage_line<Dot>(args.w, weight_index(args.w, args.k, args.row + kk, args.column + c), 1, to + c);
      to[c] ^= above;
    }
  }
}

// Quads of columns that run along k: turned by 4 x 4 words, so 16 rows at a time.
template <class Dot>
void stage_transposed(const IntPanelArgs& args, int32_t* stage) {
  constexpr int64_t kPiece = 128;
  alignas(64) uint8_t lines[4 * kPiece];
  for (int64_t c = 0; c < kIntN; c += 4) {
    for (int64_t first = 0; first < args.rows; first += kPiece) {
      const int64_t count = min64(kPiece, args.rows - first);
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t present = c + i < args.columns ? count : 0;
        uint8_t* line = lines + i * kPiece;
        if (present > 0) {
          stage_line<Dot>(args.w, weight_index(args.w, args.k, args.row + first, args.column + c + i), present, line);
        }
        for (int64_t kk = present; kk < (count + 15) / 16 * 16; ++kk) line[kk] = 0;
      }
      for (int64_t kk = 0; kk < count; kk += 16) {
        transpose4x4(reinterpret_cast<const float*>(lines + kk), kPiece / 4,
                     reinterpret_cast<float*>(stage + (first + kk) / 4 * kIntN + c), kIntN);
      }
    }
  }
}

template <class Dot>
TANDEM_INLINE void unpack_quads(const int32_t* stage, int64_t rows, int32_t* panel) {
  const VecI byte = set_i(0xff);
  const int64_t steps = (rows + Dot::kWidth - 1) / Dot::kWidth;
  for (int64_t q = 0; q < (rows + 3) / 4; ++q) {
    for (int64_t c = 0; c < kIntN; c += kLanes) {
      const VecI v = load_i(stage + q * kIntN + c);
      int32_t* to = int_place(panel, c);
      if constexpr (Dot::kWidth == 4) {
        store_i(to + q * kIntStrip, v);
      } else {
        const VecI upper = logical_right(v, set_i(16));
        store_i(to + 2 * q * kIntStrip, pair16(and_i(v, byte), and_i(shift_right<8>(v), byte)));
        if (2 * q + 1 < steps) {
          store_i(to + (2 * q + 1) * kIntStrip, pair16(and_i(upper, byte), and_i(shift_right<8>(upper), byte)));
        }
      }
    }
  }
}

// True where rows of 64 columns lie in memory as Lines wants them.
TANDEM_INLINE bool has_lines(const Weight& w, int64_t columns) {
  return w.panel == kPanel || (w.panel == 0 && w.dtype == DType::i8 && w.stride_n == 1 && columns == kIntN);
}
template <class Dot>
TANDEM_INLINE Lines lines_of(const IntPanelArgs& args) {
  const int64_t bits = args.w.dtype == DType::i4 ? 4 : 8;
  const int64_t from = args.w.panel != 0 ? weight_index(args.w, args.k, args.row, args.column / kPanel * kPanel)
                                         : weight_index(args.w, args.k, args.row, args.column);
  const int64_t stride = args.w.panel != 0 ? args.w.panel : args.w.stride_k;
  return {static_cast<const uint8_t*>(args.w.data) + from * bits / 8, stride * bits / 8, args.rows - 1,
          bits == 8 ? byte_flip<Dot>() : 0};
}

template <class Dot>
void unpack_panel(const IntPanelArgs& args, uint8_t* stage, int32_t* panel) {
  const int64_t steps = (args.rows + Dot::kWidth - 1) / Dot::kWidth;
  if (has_lines(args.w, args.columns)) {
    const Lines lines = lines_of<Dot>(args);
    if (args.w.dtype == DType::i4) return unpack_lines<Dot, true>(lines, steps, panel);
    return unpack_lines<Dot, false>(lines, steps, panel);
  }
  if (args.w.panel == 0 && args.w.stride_k == 1 && args.w.stride_n != 1) {
    stage_transposed<Dot>(args, reinterpret_cast<int32_t*>(stage));
    return unpack_quads<Dot>(reinterpret_cast<const int32_t*>(stage), args.rows, panel);
  }
  stage_rows<Dot>(args, stage);
  unpack_lines<Dot, false>(Lines{stage, kIntN, args.rows - 1, 0}, steps, panel);
}

}  // namespace tandem::TANDEM_ISA
