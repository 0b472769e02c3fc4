// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// rms_norm, and with a residual add_rms_norm:
//   sum = rd(x + residual), rstd = 1 / sqrt(mean(sum * sum) + epsilon), y = rd(sum * rstd * gamma)
// The mean is over the trailing dimensions that gamma has. Order of sums: docs/numerics.md.
struct RmsNorm {
  TensorView x, residual, gamma;
  TensorView y;
  TensorView sum, rstd;  // optional
  double epsilon = 1e-6;
};

// n = rms_norm as above, + beta where given; y1 = sat8(round(n * scale1 + offset1)), or n / scale1 + offset1 with
// `divide`; y2 from the same n with scale2 and offset2.
struct RmsNormQuant {
  TensorView x, residual, gamma, beta;
  TensorView scale1, offset1, scale2, offset2;
  TensorView y1;
  TensorView y2, sum, norm;  // optional
  double epsilon = 1e-6;
  bool divide = false;
};

// n = rms_norm as above, + beta where given; (y1, row_scale1) = dynamic_quant(n, smooth1), y2 likewise.
struct RmsNormDynamicQuant {
  TensorView x, residual, gamma, beta, smooth1, smooth2;
  TensorView y1, row_scale1;
  TensorView y2, row_scale2, sum;  // optional
  double epsilon = 1e-6;
};

// y = (x - mean) / sqrt(variance + epsilon) * gamma (+ beta), mean and variance over the trailing dimensions of gamma.
// f64 up to the one rounding of y.
struct LayerNorm {
  TensorView x, gamma, beta;
  TensorView y;
  double epsilon = 1e-5;
};

// Gradients of y = x * rstd * gamma for the gradient dy of y:
//   dx = rstd * (dy * gamma - x * rstd^2 * mean(dy * gamma * x)), dgamma = sum over rows of dy * x * rstd
// f64 up to the one rounding of each result.
struct RmsNormBackward {
  TensorView dy, x, rstd, gamma;
  TensorView dx, dgamma;
};

template <>
const OperatorTable<LayerNorm>& table_of<LayerNorm>();
template <>
const OperatorTable<RmsNormBackward>& table_of<RmsNormBackward>();
template <>
const OperatorTable<RmsNorm>& table_of<RmsNorm>();
template <>
const OperatorTable<RmsNormQuant>& table_of<RmsNormQuant>();
template <>
const OperatorTable<RmsNormDynamicQuant>& table_of<RmsNormDynamicQuant>();

// Errors of all: null_argument, invalid_argument here; out_of_memory at run.
Expected<Plan> plan(const LayerNorm& op, Device& device);
Expected<Plan> plan(const RmsNormBackward& op, Device& device);
Expected<Plan> plan(const RmsNorm& op, Device& device);
Expected<Plan> plan(const RmsNormQuant& op, Device& device);
Expected<Plan> plan(const RmsNormDynamicQuant& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
