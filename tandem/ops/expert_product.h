// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/kernels/table.h"

namespace tandem {

// MoE down projection of rows [first, first + count): per leaf, row m is sum over j of fma(weight[m][j], leaf_j, .),
// j in rising expert id; then tree(leaves). Writes f32 rows of n.
struct ExpertProduct {
  const KernelTable* table = nullptr;
  GemmArgs product;                 // n, k, leaves, x of row (0, 0), dtypes
  int64_t top_k = 0;
  std::span<const Weight> experts;
  TensorView expert, weight;        // (M, top_k)
};

// Fails with out_of_memory, or invalid_argument when an expert id is outside the list.
Status expert_product(const ExpertProduct& op, int64_t first, int64_t count, void* const* y_rows, Lane& lane);

}  // namespace tandem
