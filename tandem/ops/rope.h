// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/kernels/rope.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// x = x * cos + turned(x) * sin in place, for every head of head_dim columns of query and key (either may be absent).
//   half: turned = (-x[D/2:], x[:D/2]); interleave: (-x1, x0, -x3, x2, ..); quarter: half within each half of the head.
// query and key are [rows.., heads, D] or [rows, heads * D]; cos and sin hold D columns for each row.
struct Rope {
  TensorView query, key, cos, sin;
  TensorView query_out;  // optional: the turned query goes there instead
  RopeForm form = RopeForm::half;
  int64_t head_dim = 0;  // 0: the last dimension of cos
};

template <>
const OperatorTable<Rope>& table_of<Rope>();

// Errors: null_argument, invalid_argument here; out_of_memory at run.
Expected<Plan> plan(const Rope& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
