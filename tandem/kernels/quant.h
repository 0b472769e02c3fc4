// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// Rounding of activations to integers and back; f32 inside. sat() clamps in f32 to [-128, 127] (i8) or [-8, 7] (i4), then
// rounds; NaN gives 0. int4 results are two a byte, the even column in the low half.
namespace tandem {

enum class Rounding : uint8_t { half_even, floor, ceil, truncate };

// A row operand of n values, or one value for all columns.
struct PerColumn {
  const void* data = nullptr;  // absent: 1 as a scale, 0 as an offset
  DType dtype = DType::none;   // f32, f16, bf16 (offset also i8)
  bool single = false;
};

// y = sat(round(x * scale + offset));  square: x * scale * scale;  divide: sat(round(x / scale + offset));
// offset_last: sat(round(x * scale)) + offset, saturated again (divide likewise).
// Each step is one f32 operation.
struct QuantizeArgs {
  int64_t rows = 0, n = 0;
  const void* x = nullptr;
  int64_t x_row_bytes = 0;
  DType x_dtype = DType::none;  // f32, f16, bf16
  PerColumn scale, offset;
  Rounding rounding = Rounding::half_even;
  bool square = false, divide = false, offset_last = false;
  void* y = nullptr;
  int64_t y_row_bytes = 0;
  DType y_dtype = DType::i8;    // i8, i4 (n even)
};

// y = rd_T((x + offset) * scale), square: once more * scale; x i8, i4 or i32, y f32, f16, bf16. row_scale [rows]: * last.
struct DequantizeArgs {
  int64_t rows = 0, n = 0;
  const void* x = nullptr;
  int64_t x_row_bytes = 0;
  DType x_dtype = DType::none;
  PerColumn scale, offset;
  const float* row_scale = nullptr;
  bool square = false;
  void* y = nullptr;
  int64_t y_row_bytes = 0;
  DType y_dtype = DType::none;
};

// v = fl32(x * smooth[c]); symmetric: scale = max|v| / 127 (i4: 7), y = sat(round half even(v / scale)).
// asymmetric: scale = max((max - min) / 255 (15), 1e-12), offset = 127 (7) - max / scale, y = sat(round(v / scale + offset)).
// A row of zeros: scale 0, y 0 (asymmetric: the formula). A row with NaN: scale NaN, y 0; with Inf: scale Inf, y 0.
struct DynamicQuantArgs {
  int64_t rows = 0, n = 0;
  const void* x = nullptr;
  int64_t x_row_bytes = 0;
  DType x_dtype = DType::none;          // f32, f16, bf16
  const void* smooth = nullptr;         // rows of n of x_dtype; optional
  const int32_t* smooth_row = nullptr;  // [rows] which row of smooth; absent: row 0 for all
  void* y = nullptr;
  int64_t y_row_bytes = 0;
  DType y_dtype = DType::i8;            // i8, i4 (n even)
  float* scale = nullptr;               // [rows]
  float* offset = nullptr;              // [rows]; given: asymmetric
};

struct QuantKernels {
  void (*quantize)(const QuantizeArgs&, Lane&) = nullptr;
  void (*dequantize)(const DequantizeArgs&, Lane&) = nullptr;
  void (*dynamic_quant)(const DynamicQuantArgs&, Lane&) = nullptr;
};

}  // namespace tandem
