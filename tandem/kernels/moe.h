// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// Routing of one row: p = exp(logit - max) / sum (sum in rising expert order); the top_k largest logits, ties to the
// lowest id, NaN below every number; stored in rising expert id. normalise: weight = p / (sum of the chosen p, rising id).
namespace tandem {

struct TopKArgs {
  int64_t rows = 0, experts = 0, top_k = 0;
  const float* logits = nullptr;  // [rows][experts]
  bool normalise = true;
  int32_t* expert = nullptr;      // [rows][top_k]
  float* weight = nullptr;        // [rows][top_k]
};

// y = rd_T(silu(gate) * up), silu(v) = v / (1 + exp(-v)), f32 inside.
struct SwigluArgs {
  int64_t rows = 0, n = 0;
  const void* gate = nullptr;
  const void* up = nullptr;
  int64_t gate_row_bytes = 0, up_row_bytes = 0;
  void* y = nullptr;
  int64_t y_row_bytes = 0;
  DType dtype = DType::none;
};

struct MoeKernels {
  void (*top_k)(const TopKArgs&, Lane&) = nullptr;
  void (*swiglu)(const SwigluArgs&, Lane&) = nullptr;
};

}  // namespace tandem
