// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "front/atb/operation.h"
#include "front/atb/views.h"
#include "tandem/ops/movement.h"

// The vendor's FRACTAL_NZ layout: a matrix of H columns in blocks of 16 (int8: 32) columns, (batch, H / 16, rows, 16).
namespace tandem::atbfront {

inline bool in_fractions(const atb::TensorDesc& desc) {
  return desc.format == ACL_FORMAT_FRACTAL_NZ && desc.shape.dimNum == 4;
}

// Such a tensor as (batch, rows, H / 16, 16), whatever its strides say.
inline TensorView fractions(const TensorView& nz) {
  const int64_t blocks = nz.dim(1), rows = nz.dim(2), width = nz.dim(3);
  return strided(nz, {nz.dim(0), rows, blocks, width}, {blocks * rows * width, width, rows * width, 1});
}

// A dense copy (batch, rows, H) in the workspace.
inline Outcome<TensorView> unfolded(Run& run, const TensorView& nz) {
  const int64_t width = nz.dim(1) * nz.dim(3);
  const TensorView dense = run.scratch(nz.dtype, {nz.dim(0), nz.dim(2), width});
  const auto copied = run.add(Copy{fractions(nz), reshaped(dense, {nz.dim(0), nz.dim(2), nz.dim(1), nz.dim(3)})});
  if (!copied) return refuse(copied.error());
  return dense;
}

}  // namespace tandem::atbfront
