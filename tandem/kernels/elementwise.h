// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// f32, f16, bf16: one f32 operation per step, one rounding at the store. i32 wraps and has copy, negate, absolute, add,
// subtract, multiply, maximum, minimum. maximum and minimum: NaN wins, -0 < +0.
//   silu(v) = v / (1 + exp(-v))
//   gelu(v) = v / (1 + exp(-2 * u)), u = sqrt(2/pi) * (v + 0.044715 * ((v * v) * v))     (the tanh form)
namespace tandem {

enum class Unary : uint8_t { copy, negate, absolute, square_root, reciprocal, exponential, silu, gelu, scale };  // scale: x * alpha
enum class Binary : uint8_t { add, subtract, multiply, divide, maximum, minimum };

struct UnaryArgs {
  int64_t count = 0;
  const void* x = nullptr;
  void* y = nullptr;  // may equal x
  DType dtype = DType::none;
  Unary op = Unary::copy;
  float alpha = 1;
};

struct BinaryArgs {
  int64_t count = 0;
  const void* a = nullptr;
  const void* b = nullptr;
  int64_t b_period = 0;  // b repeats after so many elements (a row); 0: count
  void* y = nullptr;     // may equal a or b
  DType dtype = DType::none;
  Binary op = Binary::add;
};

struct ElementwiseKernels {
  void (*unary)(const UnaryArgs&, Lane&) = nullptr;
  void (*binary)(const BinaryArgs&, Lane&) = nullptr;
};

}  // namespace tandem
