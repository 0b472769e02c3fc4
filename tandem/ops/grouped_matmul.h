// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/kernels/elementwise.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// Products of E groups: y_g = act(rd(x_g @ w_g + bias_g)), the experts of a layer.
//   weight: E matrices (k, n), or one tensor (E, k, n). x and y: E matrices, or one whose rows the groups share in
//   order; then `group` (at run) or `ends` (at plan) tells the row behind each group, or with `counts` its number of
//   rows. Rows behind the last group are left alone. float: weight of the dtype of x. weight-only: int8 or int4 with
//   scale (and offset) of group g like WeightScale. int8 x int8: dequant for each column, token for each row of x.
//   bias, scale, offset, dequant: E tensors, or one with E rows.
struct GroupedMatmul {
  std::vector<TensorView> x, weight, bias, scale, offset, dequant, token, y;
  TensorView group;
  std::vector<int64_t> ends;
  bool counts = false;
  Unary activation = Unary::copy;  // copy, silu or gelu
};

template <>
const OperatorTable<GroupedMatmul>& table_of<GroupedMatmul>();

// Errors: null_argument, invalid_argument here; out_of_memory, invalid_argument (group) at run.
Expected<Plan> plan(const GroupedMatmul& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
