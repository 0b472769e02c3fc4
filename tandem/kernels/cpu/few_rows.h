// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/few_panel.h"

// Few rows of activations by row-major weights: several rows of k at a time, whole lines of memory, sums of a span of
// columns in L1.
namespace tandem::TANDEM_ISA {

inline constexpr int64_t kSpanColumns = 2048;

// One run of k for a span of columns: sums[r * width + c] += x[r][kk] * t[kk][c], kk rising.
struct RowsRun {
  Weight w;
  int64_t column = 0, columns = 0;
  int64_t first = 0, last = 0;
  const float* const* x = nullptr;
  const float* offset = nullptr;
  float* sums = nullptr;
  int64_t width = 0;
};

// kSteps rows of k by kVecs vectors of columns from c on.
template <class W, int kRows, int kSteps, int kVecs, bool kOffset>
TANDEM_INLINE void rows_strip(const RowsRun& run, const Vec (*x)[kSteps], int64_t from, int64_t c) {
  Vec sum[kRows][kVecs];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) sum[r][v] = load(run.sums + r * run.width + c + v * kLanes);
  }
#pragma GCC unroll 16
  for (int step = 0; step < kSteps; ++step) {
    const float* offset = kOffset ? hidden(run.offset) : nullptr;
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      Vec w = W::load(run.w.data, from + step * run.w.stride_k + c + v * kLanes);
      if constexpr (kOffset) w = add(w, load(offset + c + v * kLanes));
      if constexpr (kRows > 1) keep_in_register(w);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[r][v] = fma(x[r][step], w, sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) store(run.sums + r * run.width + c + v * kLanes, sum[r][v]);
  }
}

template <class W, int kBits, int kRows, int kSteps, bool kOffset>
TANDEM_INLINE void rows_steps(const RowsRun& run, int64_t kk) {
  constexpr int kLine = 512 / kBits / kLanes, kMost = kLanes == 16 ? 4 : kRows > 1 ? 2 : 4;
  constexpr int kVecs = kLine > kMost ? kMost : kLine;
  const int64_t from = kk * run.w.stride_k + run.column, stride = run.w.stride_k * kBits / 8;
  const char* ahead = static_cast<const char*>(run.w.data) + (from + kSteps * run.w.stride_k) * kBits / 8;
  Vec x[kRows][kSteps];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int step = 0; step < kSteps; ++step) x[r][step] = set(run.x[r][kk + step]);
  }
  int64_t c = 0;
  for (; c + kVecs * kLanes <= run.columns; c += kVecs * kLanes) {
    if (c * kBits / 8 % 64 == 0) {
#pragma GCC unroll 16
      for (int step = 0; step < kSteps; ++step) __builtin_prefetch(ahead + step * stride + c * kBits / 8, 0, 2);
    }
    rows_strip<W, kRows, kSteps, kVecs, kOffset>(run, x, from, c);
  }
  for (; c + kLanes <= run.columns; c += kLanes) rows_strip<W, kRows, kSteps, 1, kOffset>(run, x, from, c);
}

// The columns behind the last whole vector.
template <class W, int kRows, bool kOffset>
TANDEM_INLINE void rows_border(const RowsRun& run, int64_t kk) {
  const int64_t c = run.columns / kLanes * kLanes;
  if (c == run.columns) return;
  Vec w = load_tail<W>(run.w.data, kk * run.w.stride_k + run.column + c, run.columns - c);
  if constexpr (kOffset) w = add(w, load(run.offset + c));
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    float* sum = run.sums + r * run.width + c;
    store(sum, fma(set(run.x[r][kk]), w, load(sum)));
  }
}

template <class W, int kBits, int kRows, bool kOffset>
void rows_run(const RowsRun& run) {
  constexpr int kSteps = kRows == 1 ? 8 : 4;
  int64_t kk = run.first;
  for (; kk + kSteps <= run.last; kk += kSteps) rows_steps<W, kBits, kRows, kSteps, kOffset>(run, kk);
  for (; kk < run.last; ++kk) rows_steps<W, kBits, kRows, 1, kOffset>(run, kk);
  for (kk = run.first; kk < run.last; ++kk) rows_border<W, kRows, kOffset>(run, kk);
}

template <class W, int kBits, bool kOffset>
TANDEM_INLINE void rows_run(const RowsRun& run, int64_t rows) {
  switch (rows) {
    case 1: return rows_run<W, kBits, 1, kOffset>(run);
    case 2: return rows_run<W, kBits, 2, kOffset>(run);
    default: return rows_run<W, kBits, 3, kOffset>(run);
  }
}

inline void rows_run(DType type, const RowsRun& run, int64_t rows) {
  if (type == DType::f32) return rows_run<F32, 32, false>(run, rows);
  if (type == DType::f16) return rows_run<F16, 16, false>(run, rows);
  if (type == DType::bf16) return rows_run<Bf16, 16, false>(run, rows);
  const bool moved = run.offset != nullptr;
  if (type == DType::i8) return moved ? rows_run<I8, 8, true>(run, rows) : rows_run<I8, 8, false>(run, rows);
  moved ? rows_run<I4, 4, true>(run, rows) : rows_run<I4, 4, false>(run, rows);
}

}  // namespace tandem::TANDEM_ISA
