// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/kernels/elementwise.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// y = x in the dtype of y: floats rounded once (64-bit integers by way of f32), floats to integers cut off toward zero
// and saturated (NaN: 0), integers to integers modulo their width.
struct Cast {
  TensorView x, y;
};

// y = op(x): silu, gelu, negate, scale (x * alpha), ... of kernels/elementwise.h.
struct Activation {
  TensorView x, y;
  Unary op = Unary::silu;
  double alpha = 1;  // of scale
};

// y = a op (alpha * b); a and b broadcast against y, dimension by dimension from the last.
struct Arithmetic {
  TensorView a, b, y;
  Binary op = Binary::add;
  double alpha = 1;
};

// y = silu(left) * right of the halves of x along `dim`.
struct Swiglu {
  TensorView x, y;
  int64_t dim = -1;
};

// y = exp(x - max) / sum over dimension `dim`.
struct Softmax {
  TensorView x, y;
  int64_t dim = -1;
};

template <>
const OperatorTable<Cast>& table_of<Cast>();
template <>
const OperatorTable<Activation>& table_of<Activation>();
template <>
const OperatorTable<Arithmetic>& table_of<Arithmetic>();
template <>
const OperatorTable<Swiglu>& table_of<Swiglu>();
template <>
const OperatorTable<Softmax>& table_of<Softmax>();

// Errors of all: null_argument, invalid_argument here; out_of_memory at run.
Expected<Plan> plan(const Cast& op, Device& device);
Expected<Plan> plan(const Activation& op, Device& device);
Expected<Plan> plan(const Arithmetic& op, Device& device);
Expected<Plan> plan(const Swiglu& op, Device& device);
Expected<Plan> plan(const Softmax& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
