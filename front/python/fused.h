// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/fields.h"
#include "tandem/ops/mm_reduce_scatter.h"

// The products between ranks with their nested operands side by side, so that a table describes them like any other
// operator.
namespace tandem::python {

struct MmCall {
  TensorView x1, x2, bias, x3;
  TensorView scale, offset;   // weight-only
  TensorView channel, token;  // int8 x int8
  std::vector<TensorView> experts, expert_scale;
  TensorView expert, weight;
  TensorView residual, gamma, y, norm, gathered;
  TensorView wire_first, wire_second;                                            // int8 between ranks
  TensorView quant_y, quant_scale, quant_offset, quant_row_scale, quant_smooth;  // of the norm
  int64_t group_size = 0, x2_panel = 0;
  double epsilon = 1e-6;
  bool residual_replicated = false;
  std::vector<int64_t> counts;
  std::optional<Math> math;
  std::string_view reduction = "sum";
  std::string_view group;
};
struct MmAllReduceCall : MmCall {};
struct MmReduceScatterCall : MmCall {};
struct AllGatherMmCall : MmCall {};

Expected<Plan> plan(const MmAllReduceCall& op, Device& device);
Expected<Plan> plan(const MmReduceScatterCall& op, Device& device);
Expected<Plan> plan(const AllGatherMmCall& op, Device& device);

}  // namespace tandem::python

namespace tandem {
template <>
const OperatorTable<python::MmAllReduceCall>& table_of<python::MmAllReduceCall>();
template <>
const OperatorTable<python::MmReduceScatterCall>& table_of<python::MmReduceScatterCall>();
template <>
const OperatorTable<python::AllGatherMmCall>& table_of<python::AllGatherMmCall>();
}  // namespace tandem
