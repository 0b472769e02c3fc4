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
  std::span<const ScaleView> scale;  // int8 x int8: per column, one an expert
  TensorView expert, weight;         // (M, top_k); expert -1: none
  TensorView token;                  // (M, top_k), int8 x int8
};

// Fails with out_of_memory, or invalid_argument when an expert id is outside the list.
Status expert_product(const ExpertProduct& op, int64_t first, int64_t count, void* const* y_rows, Lane& lane);
// The leaves of every (row, choice) pair, not weighted: rows of leaves * n f32 behind one another. Of expert -1: zeros.
Status expert_leaves(const ExpertProduct& op, int64_t first, int64_t count, float* leaves, Lane& lane);

}  // namespace tandem
