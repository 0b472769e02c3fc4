// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// y = x, bit for bit; x and y with any strides, so that slices, transpositions, splits and joins are copies.
struct Copy {
  TensorView x, y;
};

// y = the entries of x along dimension `axis` that index names: the shape of x with that dimension replaced by those of
// index.
struct Gather {
  TensorView x, index, y;
  int64_t axis = 0;
};

template <>
const OperatorTable<Copy>& table_of<Copy>();
template <>
const OperatorTable<Gather>& table_of<Gather>();

// Errors of both: null_argument, invalid_argument here; out_of_memory, and invalid_argument for an index, at run.
Expected<Plan> plan(const Copy& op, Device& device);
Expected<Plan> plan(const Gather& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
