// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// y = rd(alpha * (a @ b) + beta * c). a (batch.., m, k), b (batch.., k, n) with any strides, batches broadcast; a
// vector is one row of a or one column of b, and its dimension is missing in y. c broadcasts to y and is not read where
// beta is 0.
struct Matmul {
  TensorView a, b, c, y;
  double alpha = 1, beta = 1;
  int64_t b_panel = 0;  // kPanel when b holds pack_weight() panels (transdata); its dims stay those of the matrices
};

// y = rd(x @ weight^T + bias), weight (n, k); (k, n) without `transpose`.
struct Linear {
  TensorView x, weight, bias, y;
  bool transpose = true;
};

// sum = x1 @ x2 (+ an int32 bias) of int8 or int4, exact in int32; y = rd(sum * scale * token (+ a float bias)), an
// int8 y is sat8(round half even(.. + offset)), an int32 y the sum itself. Batches broadcast as in Matmul.
struct QuantMatmul {
  TensorView x1, x2, scale, token, offset, bias, y;
  int64_t x2_panel = 0;  // as b_panel of Matmul
};

// y = rd(x @ ((weight + offset) * scale) + bias), weight (k, n) int8 or int4; one scale row for each `group` rows of k.
struct WeightQuantMatmul {
  TensorView x, weight, scale, offset, bias, y;
  int64_t group = 0;
  int64_t weight_panel = 0;  // as b_panel of Matmul
};

template <>
const OperatorTable<Matmul>& table_of<Matmul>();
template <>
const OperatorTable<Linear>& table_of<Linear>();
template <>
const OperatorTable<QuantMatmul>& table_of<QuantMatmul>();
template <>
const OperatorTable<WeightQuantMatmul>& table_of<WeightQuantMatmul>();

// Errors of all: null_argument, invalid_argument here; out_of_memory at run.
Expected<Plan> plan(const Matmul& op, Device& device);
Expected<Plan> plan(const Linear& op, Device& device);
Expected<Plan> plan(const QuantMatmul& op, Device& device);
Expected<Plan> plan(const WeightQuantMatmul& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
