// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// y    = rd_T(x + biases in order + terms in order + residual)       each only where present; f32 adds, one rounding
// norm = rd_T((y * rstd) * gamma),  rstd = 1 / sqrt(sum(y*y) * fl32(1/n) + fl32(epsilon))
//
// sum over n: blocks of 256 columns; in a block 16 virtual lanes (lane i takes i, i+16, .. with one fma each, rising,
// from +0), lanes by tree(), blocks by tree(). sqrt and division correctly rounded. The norm is fed by the rounded y.
namespace tandem {

struct AddRmsNormArgs {
  int64_t rows = 0, n = 0;
  // Input rows: f32 sums (x_dtype f32) or plain activations.
  const void* x = nullptr;
  int64_t x_row_bytes = 0;
  const void* const* x_rows = nullptr;
  DType x_dtype = DType::f32;
  const void* residual = nullptr;  // rows of dtype, residual_row_bytes apart; nullptr: not added
  int64_t residual_row_bytes = 0;
  const void* gamma = nullptr;     // [n] of dtype; nullptr with norm == nullptr
  DType dtype = DType::none;       // of residual, gamma, y, norm
  float epsilon = 0;
  void* y = nullptr;               // nullptr: not stored (norm still sees the rounded y)
  int64_t y_row_bytes = 0;
  void* norm = nullptr;            // nullptr: only the addition
  int64_t norm_row_bytes = 0;
  float* rstd = nullptr;           // [rows * heads], only with norm; optional
  // Rows of the statistics may be shorter than a row: heads > 1 normalises each of `heads` slices of n/heads columns
  // with the same gamma [n/heads] (query/key norm).
  int64_t heads = 1;
};

// y = e / sum(e) with e = exp(x - max) in f32, the sum in the order above, one rounding. A row of only -inf or with NaN
// gives NaN.
struct SoftmaxArgs {
  int64_t rows = 0, n = 0;
  const void* x = nullptr;
  int64_t x_row_bytes = 0;
  void* y = nullptr;   // may equal x
  int64_t y_row_bytes = 0;
  DType dtype = DType::none;
};

struct NormKernels {
  void (*add_rms_norm)(const AddRmsNormArgs&, Lane&) = nullptr;
  void (*softmax)(const SoftmaxArgs&, Lane&) = nullptr;
};

}  // namespace tandem
