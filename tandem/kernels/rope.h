// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// Rotary embedding, in place, for every head of every row, D = head_dim: pairs (a, b) of a head turn by the angle i of
// the pair, i < D/2, with the old values on the right:
//   x[a] = rd_T(fma(x[a], cos[i], -fl32(x[b] * sin[i])))
//   x[b] = rd_T(fma(x[b], cos[i],  fl32(x[a] * sin[i])))
// half: (i, i + D/2); interleave: (2i, 2i + 1); quarter: (i, i + D/4) for i < D/4, else (i + D/4, i + D/2)
namespace tandem {

enum class RopeForm : uint8_t { half, interleave, quarter };

struct RopeArgs {
  int64_t rows = 0, heads = 0, head_dim = 0;
  void* x = nullptr;  // row r, head a at x + r * row_bytes + a * head_dim elements
  int64_t row_bytes = 0;
  DType dtype = DType::none;
  const float* cos = nullptr;  // [positions][head_dim / 2]
  const float* sin = nullptr;
  const int64_t* positions = nullptr;  // [rows]
  RopeForm form = RopeForm::half;
};

struct RopeKernels {
  void (*rope)(const RopeArgs&, Lane&) = nullptr;
};

}  // namespace tandem
