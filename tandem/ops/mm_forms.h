// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string_view>

#include "tandem/base/check.h"
#include "tandem/kernels/reduce.h"
#include "tandem/ops/mm_all_reduce.h"

// What the forms of the fused product ask for beside the product itself. Internal to ops.
namespace tandem {

// "sum", "prod", "max", "min" or "avg".
std::optional<Combine> combine_of(std::string_view reduction);

void check_reduction(Check& check, const MmAllReduce& op, bool reduces);
void check_wire(Check& check, const MmAllReduce& op, bool whole, int64_t n);
void check_norm_quant(Check& check, const NormQuant& quant, const MmAllReduce& op);

// Whether the kernels read a weight of any type but i4 in place.
bool reads_in_place(const TensorView& weight);
// Whether operands have to be rearranged before a run.
bool needs_staging(const MmAllReduce& op);

}  // namespace tandem
