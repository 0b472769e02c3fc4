// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// y[r][c] = tree over ranks of inputs[rank * rows + r][c], f32.
// Then, each only where given and in this order: + bias[c]s in rank order, + terms in rank order.
namespace tandem {

struct SumRowsArgs {
  int64_t rows = 0, n = 0;
  int ranks = 0;
  const float* const* inputs = nullptr;  // [ranks * rows] row pointers
  int biases = 0;
  const float* const* bias = nullptr;    // [biases] pointers to n f32
  float* const* y_rows = nullptr;        // [rows]; may equal an input row
};

// y[r][c] = y[r][c] + x[r][c] with x of any float type: the third addend of one rank.
struct AddRowsArgs {
  int64_t rows = 0, n = 0;
  float* const* y_rows = nullptr;
  const void* const* x_rows = nullptr;
  DType x_dtype = DType::none;
};

// Element conversion (one rounding, canonical NaN).
struct CastArgs {
  int64_t count = 0;
  const void* x = nullptr;
  DType x_dtype = DType::none;  // f32, f16, bf16, i32
  void* y = nullptr;
  DType y_dtype = DType::none;  // f32, f16, bf16
};

struct ReduceKernels {
  void (*sum_rows)(const SumRowsArgs&, Lane&) = nullptr;
  void (*add_rows)(const AddRowsArgs&, Lane&) = nullptr;
  void (*cast)(const CastArgs&, Lane&) = nullptr;
};

}  // namespace tandem
