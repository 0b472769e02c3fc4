// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tandem/check/fused_group.h"

// mm_reduce_scatter and all_gather_mm of a problem of mm_all_reduce whose rows are split over ranks.
namespace tandem::fused {

enum class Split : uint8_t { scattered, gathered };

// What all ranks of `group` find, as outputs of the whole problem: the ranks' own rows in rank order, or rank 0's
// result where all hold everything; an error too where ranks that ought to agree do not. A scattered problem has as
// many ranks as counts; a gathered one is a problem of one rank.
Expected<Outputs> run_split(CppGroup& group, const Problem& problem, const std::vector<int64_t>& counts, Split split);

}  // namespace tandem::fused
