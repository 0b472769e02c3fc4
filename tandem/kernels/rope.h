// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// Rotary embedding, "half" form, in place, for every head of every row, D = head_dim, h = D/2, i < h:
//   x[i]   = rd_T(fma(x[i],   cos[i], -fl32(x[i+h] * sin[i])))
//   x[i+h] = rd_T(fma(x[i+h], cos[i],  fl32(x[i]   * sin[i])))     with the old x on the right
namespace tandem {

struct RopeArgs {
  int64_t rows = 0, heads = 0, head_dim = 0;
  void* x = nullptr;  // row r, head a at x + r * row_bytes + a * head_dim elements
  int64_t row_bytes = 0;
  DType dtype = DType::none;
  const float* cos = nullptr;  // [positions][head_dim / 2]
  const float* sin = nullptr;
  const int64_t* positions = nullptr;  // [rows]
};

struct RopeKernels {
  void (*rope)(const RopeArgs&, Lane&) = nullptr;
};

}  // namespace tandem
