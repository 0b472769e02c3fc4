// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include "tandem/kernels/cpu/rows.h"
#include "tandem/kernels/gemm.h"

// Few rows of activations by packed weights: a panel of kPanel columns is one stream of memory, its sums stay in
// registers for a run of k.
namespace tandem::TANDEM_ISA {

inline constexpr int kPanelVecs = static_cast<int>(kPanel) / kLanes;
inline constexpr int64_t kAhead = 8192;  // bytes of a stream that are asked into L2 before they are needed

// One run of k by one panel: sums[r][c] += x[r][kk] * t[kk][c], kk rising.
struct PanelRun {
  const char* w = nullptr;          // the first row
  int64_t count = 0;                // rows of k
  const float* const* x = nullptr;  // per row of activations, element 0 meets the first row
  const float* offset = nullptr;    // [kPanel], as the codec wants it
  int64_t ahead = kAhead;           // 0: the panel is in L1
  float* sums = nullptr;            // [rows][kPanel]
};

// Keeps the compiler from loading what p shows into registers ahead of a loop that needs them for its sums.
template <class T>
TANDEM_INLINE const T* hidden(const T* p) {
  asm volatile("" : "+r"(p));
  return p;
}

// Codecs: a row of a panel holds kDepth rows of k, is opened once and gives t for vector v of row s of k, in the
// codec's order of columns.
template <class W, int kElementBytes, bool kOffset>
struct PlainCodec {
  static constexpr int64_t kBytes = kElementBytes * kPanel;
  static constexpr int kDepth = 1;
  static constexpr bool kTurned = false;
  using Row = const char*;
  const float* offset;

  TANDEM_INLINE explicit PlainCodec(const PanelRun& run) : offset(run.offset) {}
  TANDEM_INLINE static Row open(const char* row) { return row; }
  TANDEM_INLINE Vec get(Row row, int v, int) const {
    const Vec w = W::load(row, v * kLanes);
    if constexpr (kOffset) return add(w, load(offset + v * kLanes));
    return w;
  }
};

// Field of bits under a power of two: with the field's lowest bit at mantissa bit b, 2^(23 - b) + n is exact for any b.
constexpr int32_t power_bits(int bit) { return (127 + 23 - bit) << 23; }
constexpr float power_above(int bit) { return static_cast<float>(1 << (23 - bit)); }

// Nibble j of word i is column 8 j + i, as w + 8. One step: t = (bias + w) - (bias - offset), one rounding where the
// offset row bias - offset is exact, as with every whole offset. Two steps: ((bias + w) - bias) + offset.
template <bool kOneStep>
struct NibbleCodec {
  static constexpr int64_t kBytes = kPanel / 2;
  static constexpr int kDepth = 1;
  static constexpr bool kTurned = false;
  static constexpr int kParts = kLanes < 8 ? 8 / kLanes : 1;  // vectors that hold the words of a row
  static constexpr int kPlaces = kLanes == 16 ? 2 : 4;        // places of a nibble in the lower half of a word
  static constexpr int kRowsOfOffset = 1;
  struct Row {
    VecI low[kParts], high[kParts];
  };
  const float* offset;
  VecI mask[kPlaces];

  TANDEM_INLINE explicit NibbleCodec(const PanelRun& run) : offset(run.offset) {
#pragma GCC unroll 16
    for (int i = 0; i < kPlaces; ++i) mask[i] = halves_i(15 << low_bit(i), 15 << high_bit(i));
  }
  static constexpr int low_bit(int place) { return kLanes == 16 ? 8 * place : 4 * place; }
  static constexpr int high_bit(int place) { return kLanes == 16 ? 8 * place + 4 : 4 * place; }
  TANDEM_INLINE static VecI power(int place) {
    if constexpr (kLanes == 16) return halves_i(power_bits(low_bit(place)), power_bits(high_bit(place)));
    return set_i(power_bits(low_bit(place)));
  }
  TANDEM_INLINE Row open(const char* from) const {
    Row row;
#pragma GCC unroll 16
    for (int i = 0; i < kParts; ++i) {
      row.low[i] = load_words8(from, i);
      row.high[i] = shift_right<16>(row.low[i]);
    }
    return row;
  }
  TANDEM_INLINE Vec bias(int v, int) const { return add(from_bits(power(v / kParts % kPlaces)), set(8.0f)); }
  TANDEM_INLINE Vec get(const Row& row, int v, int) const {
    const int place = v / kParts % kPlaces;
    const VecI words = v < kPanelVecs / 2 ? row.low[v % kParts] : row.high[v % kParts];
    const Vec raw = from_bits(and_xor(words, mask[place], power(place)));
    if constexpr (kOneStep) return sub(raw, load(offset + v * kLanes));
    return add(sub(raw, bias(v, 0)), load(offset + v * kLanes));
  }
};

// Sixteen words of four bytes: vector v holds columns 4 i + v. One step as above; one operation less than widening.
struct TurnedBytes {
  static constexpr int64_t kBytes = kPanel;
  static constexpr int kRowsOfOffset = 1;
  static constexpr int kDepth = 1;
  static constexpr bool kTurned = true;
  struct Row {
    VecI low, high;
  };
  const float* offset;

  TANDEM_INLINE explicit TurnedBytes(const PanelRun& run) : offset(run.offset) {}
  TANDEM_INLINE static Row open(const char* from) {
    const VecI words = load_i(reinterpret_cast<const int32_t*>(from));
    return {words, shift_right<16>(words)};
  }
  TANDEM_INLINE static Vec bias(int v, int) { return set(power_above(v % 2 * 8) + 128); }
  TANDEM_INLINE Vec get(const Row& row, int v, int) const {
    const int bit = v % 2 * 8;
    const VecI raw = and_xor(v < 2 ? row.low : row.high, set_i(255 << bit), set_i(power_bits(bit) ^ (128 << bit)));
    return sub(from_bits(raw), load(offset + v * kLanes));
  }
};

// Integers of kBits that run along k: one word a column. A row of bias - offset for every place in half a word.
template <int kBits, bool kOneStep>
struct DeepCodec {
  static constexpr int64_t kBytes = kPanel * 4;
  static constexpr int kDepth = 32 / kBits;
  static constexpr int kRowsOfOffset = kDepth / 2;
  static constexpr bool kTurned = false;
  static constexpr int32_t kSign = 1 << (kBits - 1);
  using Row = const char*;
  const float* offset;

  TANDEM_INLINE explicit DeepCodec(const PanelRun& run) : offset(run.offset) {}
  TANDEM_INLINE static Row open(const char* row) { return row; }
  TANDEM_INLINE static Vec bias(int, int s) { return set(power_above(s % kRowsOfOffset * kBits) + kSign); }
  TANDEM_INLINE Vec get(Row row, int v, int s) const {
    const int place = s % kRowsOfOffset, bit = place * kBits;
    VecI words = load_i(reinterpret_cast<const int32_t*>(row) + v * kLanes);
    if (s >= kRowsOfOffset) words = shift_right<16>(words);
    const VecI mask = set_i(((1 << kBits) - 1) << bit), power = set_i(power_bits(bit) ^ (kSign << bit));
    const Vec raw = from_bits(and_xor(words, mask, power));
    if constexpr (kOneStep) return sub(raw, load(offset + place * kPanel + v * kLanes));
    return add(sub(raw, bias(v, s)), load(offset + v * kLanes));
  }
};

// [kLanes][4] to [4][kLanes] and back.
TANDEM_INLINE void turn(const float* from, float* to) {
  for (int i = 0; i < kLanes; i += 4) transpose4x4(from + 4 * i, 4, to + i, kLanes);
}
TANDEM_INLINE void turn_back(const float* from, float* to) {
  for (int i = 0; i < kLanes; i += 4) transpose4x4(from + i, kLanes, to + 4 * i, 4);
}

// to = bias - offset in the codec's order, kRowsOfOffset rows; true where one step rounds once.
template <class Codec>
TANDEM_INLINE bool one_step_row(const float* offset, float* to) {
  const Codec codec{PanelRun{}};
  float turned[kPanel];
  if constexpr (Codec::kTurned) turn(offset, turned);
  const float* from = Codec::kTurned ? turned : offset;
  Vec inexact = set(0.0f);
  for (int i = 0; i < kPanelVecs * Codec::kRowsOfOffset; ++i) {
    const int v = i % kPanelVecs;
    const Vec bias = codec.bias(v, i / kPanelVecs), wanted = load(from + v * kLanes), row = sub(bias, wanted);
    inexact = if_equal(sub(bias, row), wanted, inexact, set(1.0f));
    store(to + i * kLanes, row);
  }
  float lanes[kLanes], any = 0;
  store(lanes, inexact);
  for (int i = 0; i < kLanes; ++i) any += lanes[i];
  return any == 0;
}

// kRows rows of x by vectors [kFirst, kFirst + kVecs) of the panel.
template <class Codec, int kRows, int kFirst, int kVecs>
TANDEM_INLINE void panel_pass(const PanelRun& run) {
  constexpr int kUnroll = Codec::kDepth > 1 || kInstrumented ? 1 : Codec::kBytes >= 128 ? 2 : 4;
  constexpr int kStep = kUnroll * Codec::kDepth;
  Codec codec(run);
  Vec sum[kRows][kVecs];
  const float* x[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    x[r] = run.x[r];
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) sum[r][v] = load(run.sums + r * kPanel + (kFirst + v) * kLanes);
  }
  const auto step = [&](const char* from, int64_t kk) __attribute__((always_inline)) {
    codec.offset = hidden(codec.offset);
    auto row = codec.open(from);
#pragma GCC unroll 16
    for (int s = 0; s < Codec::kDepth; ++s) {
      if constexpr (Codec::kDepth > 1 && (kLanes < 16 || kRows > 1)) row = hidden(row);
#pragma GCC unroll 16
      for (int v = 0; v < kVecs; ++v) {
        Vec w = codec.get(row, kFirst + v, s);
        if constexpr (kRows > 1) keep_in_register(w);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) sum[r][v] = fma(set(x[r][kk + s]), w, sum[r][v]);
      }
    }
  };
  const char* from = run.w;
  int64_t kk = 0;
  for (; kk + kStep <= run.count; kk += kStep, from += kUnroll * Codec::kBytes) {
#pragma GCC unroll 16
    for (int64_t b = 0; b < kUnroll * Codec::kBytes; b += 64) __builtin_prefetch(from + run.ahead + b, 0, 2);
#pragma GCC unroll 16
    for (int u = 0; u < kUnroll; ++u) step(from + u * Codec::kBytes, kk + u * Codec::kDepth);
  }
  if constexpr (kUnroll > 1) {
    for (; kk < run.count; kk += Codec::kDepth, from += Codec::kBytes) step(from, kk);
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) store(run.sums + r * kPanel + (kFirst + v) * kLanes, sum[r][v]);
  }
}

inline constexpr int kSumRegisters = kLanes == 16 ? 16 : 8;

constexpr int pass_vecs(int rows) {
  int vecs = kPanelVecs;
  while (vecs * rows > kSumRegisters) vecs /= 2;
  return vecs;
}

// All passes of a run: in pieces that stay in L1 where there are several.
template <class Codec, int kRows>
void panel_run(const PanelRun& run) {
  constexpr int kBeside = Codec::kDepth > 1 && kLanes == 16 && kRows > 2 ? 2 : 0;  // constants that need registers too
  constexpr int kVecs = pass_vecs(kRows + kBeside);
  if constexpr (kVecs == kPanelVecs) return panel_pass<Codec, kRows, 0, kVecs>(run);
  constexpr int64_t kPiece = 8192 / Codec::kBytes * Codec::kDepth;
  const float* x[kRows];
  PanelRun piece = run;
  piece.x = x;
  for (int64_t kk = 0; kk < run.count; kk += kPiece) {
    for (int r = 0; r < kRows; ++r) x[r] = run.x[r] + kk;
    piece.w = run.w + kk / Codec::kDepth * Codec::kBytes;
    piece.count = min64(kPiece, run.count - kk);
    [&]<int... kPass>(std::integer_sequence<int, kPass...>) {
      (panel_pass<Codec, kRows, kPass * kVecs, kVecs>(piece), ...);
    }(std::make_integer_sequence<int, kPanelVecs / kVecs>());
  }
}

}  // namespace tandem::TANDEM_ISA
