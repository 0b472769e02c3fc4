// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "tandem/ops/mm_all_reduce.h"

#pragma GCC visibility push(default)
namespace tandem {

// y = [tail] rows of this rank of reduce_sum over ranks of (x1 @ dequant(x2) + bias + x3)
//
//   product: as MmAllReduce with x1, x3 and a token scale of all M rows, y and the tail's operands of the rows of this
//            rank alone; no experts.
//   counts:  rows of each rank in rank order, some may be 0, M together; empty: M / ranks each.
// Every row has the bits that mm_all_reduce gives it.
// Errors: those of MmAllReduce; invalid_argument where counts do not fit, mismatch where the ranks' counts differ.
struct MmReduceScatter {
  MmAllReduce product;
  std::vector<int64_t> counts;
};

Expected<Plan> plan(const MmReduceScatter& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
