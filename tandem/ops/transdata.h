// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// Matrices between layouts of memory; no value changes.
//   to_nz, from_nz: (batch.., k, n) and (batch.., n1, k1, 16, c0), element (i, j) at [j / c0][i / 16][i % 16][j % c0],
//     c0 = 32 bytes of elements (64 of int4), zeros where a matrix ends inside a block.
//   to_panels, from_panels: (batch.., k, n) and at least batch * panel_elements(k, n) elements of any shape: the panels
//   of
//     pack_weight() (kernels/gemm.h), matrix behind matrix, which products read fastest.
// y may be the memory of x. Errors: null_argument, invalid_argument here; out_of_memory at run.
struct Transdata {
  enum class Kind : uint8_t { to_nz, from_nz, to_panels, from_panels };
  TensorView x, y;
  Kind kind = Kind::to_nz;
};

// Columns of a panel, and elements of a (k, n) matrix in panels.
inline constexpr int64_t kPackedColumns = 64;
int64_t panel_elements(int64_t k, int64_t n);

template <>
const OperatorTable<Transdata>& table_of<Transdata>();

Expected<Plan> plan(const Transdata& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
