// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/gemm_block.h"

// Few rows: weights are decoded in registers and used at once.
namespace tandem::TANDEM_ISA {

inline constexpr int kDirectRows = 4;
inline constexpr int64_t kDirectColumns = 512;  // sums of a span stay in L1

// One run of k for `columns` columns: sum[r * width + c] += x[r] * (w + offset), rising k.
struct DirectRun {
  Weight w;
  int64_t k = 0;
  int64_t column = 0, columns = 0;
  int64_t first = 0, last = 0;
  const float* const* x = nullptr;
  const float* offset = nullptr;
  float* sum = nullptr;
  int64_t width = 0;
};

// kSteps rows of k into the sums of all columns.
template <class W, int kRows, int kSteps, bool kOffset>
TANDEM_INLINE void direct_steps(const DirectRun& run, int64_t kk) {
  const int64_t from = kk * run.w.stride_k + run.column;
  Vec x[kRows][kSteps];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int step = 0; step < kSteps; ++step) x[r][step] = set(run.x[r][kk + step]);
  }
  const int64_t whole = run.columns / kLanes * kLanes;
  for (int64_t c = 0; c < whole; c += kLanes) {
    Vec sum[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) sum[r] = load(run.sum + r * run.width + c);
#pragma GCC unroll 16
    for (int step = 0; step < kSteps; ++step) {
      Vec w = W::load(run.w.data, from + step * run.w.stride_k + c);
      if constexpr (kOffset) w = add(w, load(run.offset + c));
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[r] = fma(x[r][step], w, sum[r]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) store(run.sum + r * run.width + c, sum[r]);
  }
}

// The columns behind the last whole vector.
template <class W, int kRows, bool kOffset>
TANDEM_INLINE void direct_border(const DirectRun& run, int64_t kk) {
  const int64_t c = run.columns / kLanes * kLanes;
  if (c == run.columns) return;
  Vec w = load_tail<W>(run.w.data, kk * run.w.stride_k + run.column + c, run.columns - c);
  if constexpr (kOffset) w = add(w, load(run.offset + c));
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    float* sum = run.sum + r * run.width + c;
    store(sum, fma(set(run.x[r][kk]), w, load(sum)));
  }
}

template <class W, int kRows, bool kOffset>
void direct_rows(const DirectRun& run) {
  constexpr int kHeld = kTileVecs == 4 ? 16 : 8;  // that hold x
  constexpr int kSteps = kRows == 1 ? 8 : kHeld / (kRows == 3 ? 4 : kRows);
  int64_t kk = run.first;
  for (; kk + kSteps <= run.last; kk += kSteps) direct_steps<W, kRows, kSteps, kOffset>(run, kk);
  for (; kk < run.last; ++kk) direct_steps<W, kRows, 1, kOffset>(run, kk);
  for (kk = run.first; kk < run.last; ++kk) direct_border<W, kRows, kOffset>(run, kk);
}

// kVecs vectors of packed columns with their sums in registers through the whole run.
template <class W, int kRows, int kVecs, bool kOffset>
TANDEM_INLINE void direct_panels(const DirectRun& run, int64_t c) {
  Vec sum[kRows][kVecs];
  int64_t from[kVecs];
#pragma GCC unroll 16
  for (int v = 0; v < kVecs; ++v) {
    from[v] = weight_index(run.w, run.k, 0, run.column + c + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) sum[r][v] = load(run.sum + r * run.width + c + v * kLanes);
  }
  for (int64_t kk = run.first; kk < run.last; ++kk) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      Vec w = W::load(run.w.data, from[v] + kk * kPanel);
      if constexpr (kOffset) w = add(w, load(run.offset + c + v * kLanes));
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[r][v] = fma(set(run.x[r][kk]), w, sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int v = 0; v < kVecs; ++v) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) store(run.sum + r * run.width + c + v * kLanes, sum[r][v]);
  }
}

template <class W, int kRows, bool kOffset>
void direct_packed(const DirectRun& run) {
  constexpr int kAll = static_cast<int>(kBlockN) / kLanes;
  constexpr int kHeld = kLanes == 4 ? 4 : kLanes == 16 ? 16 : 8;
  constexpr int kVecs = kHeld / (kRows == 3 ? 4 : kRows) < kAll ? kHeld / (kRows == 3 ? 4 : kRows) : kAll;
  for (int64_t c = 0; c < run.columns; c += kVecs * kLanes) direct_panels<W, kRows, kVecs, kOffset>(run, c);
}

template <class W, int kRows, bool kOffset>
TANDEM_INLINE void direct_layout(const DirectRun& run) {
  if (run.w.panel != 0) return direct_packed<W, kRows, kOffset>(run);
  direct_rows<W, kRows, kOffset>(run);
}

template <class W, int kRows>
TANDEM_INLINE void direct_offset(const DirectRun& run) {
  if (run.offset != nullptr) return direct_layout<W, kRows, true>(run);
  direct_layout<W, kRows, false>(run);
}

inline void direct_run(const DirectRun& run, int64_t rows) {
  with_weight(run.w.dtype, [&]<class W>(W) {
    switch (rows) {
      case 1: return direct_offset<W, 1>(run);
      case 2: return direct_offset<W, 2>(run);
      case 3: return direct_offset<W, 3>(run);
      default: return direct_offset<W, 4>(run);
    }
  });
}

}  // namespace tandem::TANDEM_ISA
