// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/kernels/quant.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// y = sat(round(x * scale + offset)); x / scale with `divide`; * scale once more with `square`; with `offset_last` the
// offset is added behind the rounding. scale and offset belong to the last dimension of x.
struct Quantize {
  TensorView x, scale, offset, y;
  Rounding rounding = Rounding::half_even;
  bool square = false, divide = false, offset_last = false;
};

// y = rd((x + offset) * scale), * scale once more with `square`.
struct Dequantize {
  TensorView x, scale, offset, y;
  bool square = false;
};

// v = x * smooth; scale = max|v| / 127 (i4: 7) of each row; y = sat(round(v / scale)). With `offset`: asymmetric,
// scale = max((max - min) / 255 (i4: 15), 1e-12), offset = 127 (7) - max / scale, y = sat(round(v / scale + offset)).
// With `group`, the i-th entry is the first row behind group i, whose rows use row i of smooth; entries behind the one
// that reaches the last row are not read.
struct DynamicQuant {
  TensorView x, smooth, group, y, scale, offset;
};

// y = bits of scale with ten mantissa bits (cut off, or rounded half to even with `round`), bit 46 set, and in bits
// 37..45 the offset as a nine-bit integer.
struct TransQuantParam {
  TensorView scale, offset, y;
  bool round = false;
};

template <>
const OperatorTable<Quantize>& table_of<Quantize>();
template <>
const OperatorTable<Dequantize>& table_of<Dequantize>();
template <>
const OperatorTable<DynamicQuant>& table_of<DynamicQuant>();
template <>
const OperatorTable<TransQuantParam>& table_of<TransQuantParam>();

// Errors of all: null_argument, invalid_argument here; out_of_memory (and, for group, invalid_argument) at run.
Expected<Plan> plan(const Quantize& op, Device& device);
Expected<Plan> plan(const Dequantize& op, Device& device);
Expected<Plan> plan(const DynamicQuant& op, Device& device);
Expected<Plan> plan(const TransQuantParam& op, Device& device);

// The word TransQuantParam makes of one scale, and the scale that words of int64 and uint64 stand for.
uint64_t encode_scale(float scale, float offset, bool round);
float decode_scale(uint64_t word);

}  // namespace tandem
#pragma GCC visibility pop
