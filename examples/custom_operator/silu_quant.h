// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/exec/lane.h"

// v = silu(a) * b in f32; scale[row] = max|v| / 127; y = int8 of v / scale, half to even. a, b: rows * n f32, dense.
struct SiluQuantArgs {
  int64_t rows = 0, n = 0;
  const float* a = nullptr;
  const float* b = nullptr;
  int8_t* y = nullptr;
  float* scale = nullptr;
};
