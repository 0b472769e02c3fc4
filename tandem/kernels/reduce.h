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

// y[i] = combination over `inputs` in the order of tree(): f16, bf16 and f32 are combined in f32 (f64 in f64) and
// rounded once; integers wrap exactly; max and min: NaN wins, -0 < +0. average: floats sum * fl(1 / count of inputs)
// before the rounding; integers the wide sum / count, truncated toward zero.
enum class Combine : uint8_t { sum, product, maximum, minimum, average };
struct CombineInputsArgs {
  int64_t count = 0;                    // elements
  int inputs = 0;
  const void* const* x = nullptr;       // [inputs] pointers to count elements; any alignment of the element
  DType dtype = DType::none;            // i8 u8 i16 u16 i32 u32 i64 u64 f16 bf16 f32 f64
  Combine how = Combine::sum;
  void* y = nullptr;                    // may equal one input exactly, not overlap it otherwise
  bool past = false;                    // nobody reads y soon: written past the caches, unless it equals an input
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
  void (*combine)(const CombineInputsArgs&, Lane&) = nullptr;
};

}  // namespace tandem
