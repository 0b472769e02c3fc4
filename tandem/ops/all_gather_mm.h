// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "tandem/ops/mm_all_reduce.h"

#pragma GCC visibility push(default)
namespace tandem {

// y = [tail] all_gather(x1) @ dequant(x2) + bias
//
//   product:  as MmAllReduce with x1 and a token scale of the rows of this rank alone and the whole k; y and the tail's
//             operands of all M rows; no x3, no experts. x2, scales and bias are this rank's own (its columns).
//   gathered: (M, k) like x1, absent or the rows of all ranks.
//   counts:   rows of each rank in rank order, some may be 0, M together; empty: M / ranks each.
// Every row has the bits that mm_all_reduce gives it on one rank.
// Errors: those of MmAllReduce; invalid_argument where counts do not fit, mismatch where the ranks' counts differ.
struct AllGatherMm {
  MmAllReduce product;
  TensorView gathered;
  std::vector<int64_t> counts;
};

Expected<Plan> plan(const AllGatherMm& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
