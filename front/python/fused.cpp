// SPDX-License-Identifier: Apache-2.0
#include "front/python/fused.h"

#include <fmt/format.h>

namespace tandem::python {
namespace {

constexpr std::string_view kFloats = "f32 f16 bf16";
constexpr std::string_view kExperts = "expert weights (k, n) in place of x2; x1 is then (M, top_k, k)";

template <class Op>
constexpr Field<Op> kReduced[] = {
    {{"x1", Role::input, "f32 f16 bf16 i8", "rows.. k", "this rank's columns of the activations"}, &Op::x1},
    {{"x2", Role::option, "=x1 i8 i4", "k n", "this rank's rows of the weight; any strides"}, &Op::x2},
    {{"bias", Role::option, "f32 f16 bf16 i32", "n | 1 n", "added after the sum over ranks"}, &Op::bias},
    {{"x3", Role::option, kFloats, "rows.. n", "added after the sum over ranks"}, &Op::x3},
    {{"scale", Role::option, kFloats, "", "weight-only: of the tensor [1], column [n] or group [groups, n]"},
     &Op::scale},
    {{"offset", Role::option, "=scale", "=scale", "weight-only: added to the weight"}, &Op::offset},
    {{"channel", Role::option, "f32 f16 bf16 i64 u64", "", "int8 x int8: scale of each column"}, &Op::channel},
    {{"token", Role::option, "f32", "", "int8 x int8: scale of each row"}, &Op::token},
    {{"experts", Role::option, kFloats, "", kExperts}, nullptr, &Op::experts},
    {{"expert", Role::option, "i32", "", "(M, top_k) ids, rising in a row; -1: none"}, &Op::expert},
    {{"weight", Role::option, "f32", "", "(M, top_k) weights of the experts"}, &Op::weight},
    {{"expert_scale", Role::option, kFloats, "", "int8 experts: [n] each"}, nullptr, &Op::expert_scale},
    {{"residual", Role::option, kFloats, "", "added to the sum; with gamma the norm follows"}, &Op::residual},
    {{"gamma", Role::option, kFloats, "n", "weight of the norm"}, &Op::gamma},
    {{"y", Role::output, kFloats, "", "the sum (+ residual)"}, &Op::y},
    {{"norm", Role::option_output, "=y", "=y", "rms_norm of y"}, &Op::norm},
    {{"wire_first", Role::option, kFloats, "n | 1 n", "partial sums travel in int8: scales of the way there"},
     &Op::wire_first},
    {{"wire_second", Role::option, kFloats, "n | 1 n", "and of the way back"}, &Op::wire_second},
    {{"quant_scale", Role::option, kFloats, "1 | n", "quantised norm: fixed scale"}, &Op::quant_scale},
    {{"quant_offset", Role::option, kFloats, "1 | n", "quantised norm: zero point"}, &Op::quant_offset},
    {{"quant_smooth", Role::option, kFloats, "n", "quantised norm: factors before it, scale by row"},
     &Op::quant_smooth},
    {{"quant_y", Role::option_output, "i8", "=y", "the quantised norm"}, &Op::quant_y},
    {{"quant_row_scale", Role::option_output, "f32", "rows..", "of each row of quant_y"}, &Op::quant_row_scale},
};

template <class Op>
constexpr Field<Op> kGathered[] = {
    {{"x1", Role::input, "f32 f16 bf16 i8", "rows k", "this rank's rows of the activations"}, &Op::x1},
    {{"x2", Role::input, "=x1 i8 i4", "k n", "this rank's columns of the weight; any strides"}, &Op::x2},
    {{"bias", Role::option, "f32 f16 bf16 i32", "n | 1 n", "added"}, &Op::bias},
    {{"scale", Role::option, kFloats, "", "weight-only: of the tensor [1], column [n] or group [groups, n]"},
     &Op::scale},
    {{"offset", Role::option, "=scale", "=scale", "weight-only: added to the weight"}, &Op::offset},
    {{"channel", Role::option, "f32 f16 bf16 i64 u64", "", "int8 x int8: scale of each column"}, &Op::channel},
    {{"token", Role::option, "f32", "", "int8 x int8: scale of each of this rank's rows"}, &Op::token},
    {{"y", Role::output, kFloats, "", "(rows of all ranks, n)"}, &Op::y},
    {{"gathered", Role::option_output, "=x1", "", "x1 of all ranks"}, &Op::gathered},
};

template <class Op>
constexpr Number<Op> kNumbers[] = {
    {"group_size", "weight-only: rows of k for each scale row; 0: one for all", &Op::group_size, {0, 2147483647.0}},
    {"x2_panel", "64 when x2 holds panels (transdata)", &Op::x2_panel, {0, 64}},
    {"epsilon", "of the norm", &Op::epsilon, {0, 3.4e38}},
    {"residual_replicated", "all ranks hold the same residual", &Op::residual_replicated, {0, 1}}};
template <class Op>
constexpr Number<Op> kGatherNumbers[] = {
    {"group_size", "weight-only: rows of k for each scale row; 0: one for all", &Op::group_size, {0, 2147483647.0}},
    {"x2_panel", "64 when x2 holds panels (transdata)", &Op::x2_panel, {0, 64}}};

Quant quant_of(const MmCall& call) {
  if (call.channel.present()) return Int8Scale{call.channel, call.token};
  if (call.scale.present() || call.offset.present()) return WeightScale{call.scale, call.offset, call.group_size};
  return {};
}

// An operand that says something about another one does not stand alone.
Status check_heads(const MmCall& call, std::string_view name) {
  struct Rule {
    std::string_view name;
    bool given, fits;
    std::string_view wanted;
  };
  const bool integers = call.channel.present(), experts = !call.experts.empty(), norm = call.quant_y.present();
  const bool weights = !integers && (call.scale.present() || call.offset.present());
  const Rule rules[] = {
      {"quant_scale", call.quant_scale.present(), norm, "quant_y"},
      {"quant_offset", call.quant_offset.present(), norm, "quant_y"},
      {"quant_smooth", call.quant_smooth.present(), norm, "quant_y"},
      {"quant_row_scale", call.quant_row_scale.present(), norm, "quant_y"},
      {"token", call.token.present(), integers || experts, "channel or experts"},
      {"expert", call.expert.present(), experts, "experts"},
      {"weight", call.weight.present(), experts, "experts"},
      {"expert_scale", !call.expert_scale.empty(), experts, "experts"},
      {"group_size", call.group_size != 0, weights, "scale"},
  };
  for (const Rule& rule : rules) {
    if (!rule.given || rule.fits) continue;
    return fail(ErrorCode::invalid_argument,
                fmt::format("{}: {} is given alone, {} beside it wanted", name, rule.name, rule.wanted));
  }
  if (!integers || (!call.scale.present() && !call.offset.present())) return {};
  return fail(ErrorCode::invalid_argument, fmt::format("{}: channel is given beside scale, one of them wanted", name));
}

template <class Op>
Expected<Plan> planned(const MmCall& call, std::string_view name, const Op& op, Device& device) {
  if (const Status status = check_heads(call, name); !status) return tl::unexpected(status.error());
  return plan(op, device);
}

MmAllReduce product_of(const MmCall& call) {
  MmAllReduce op;
  op.x1 = call.x1, op.x2 = call.x2, op.bias = call.bias, op.x3 = call.x3, op.y = call.y;
  op.x2_panel = call.x2_panel;
  op.quant = quant_of(call);
  op.math = call.math;
  op.group = call.group;
  op.reduction = call.reduction;
  if (call.wire_first.present() || call.wire_second.present()) op.wire = {call.wire_first, call.wire_second};
  if (!call.experts.empty()) op.experts = {call.experts, call.expert, call.weight, call.expert_scale, call.token};
  if (call.residual.present() || call.gamma.present() || call.norm.present() || call.quant_y.present()) {
    op.then = {call.residual, call.gamma, call.epsilon, call.norm, call.residual_replicated};
  }
  if (call.quant_y.present()) {
    op.then->quant = {call.quant_y, call.quant_scale, call.quant_offset, call.quant_row_scale, call.quant_smooth};
  }
  return op;
}

}  // namespace

Expected<Plan> plan(const MmAllReduceCall& op, Device& device) {
  return planned(op, "mm_all_reduce", product_of(op), device);
}
Expected<Plan> plan(const MmReduceScatterCall& op, Device& device) {
  return planned(op, "mm_reduce_scatter", MmReduceScatter{product_of(op), op.counts}, device);
}
Expected<Plan> plan(const AllGatherMmCall& op, Device& device) {
  return planned(op, "all_gather_mm", AllGatherMm{product_of(op), op.gathered, op.counts}, device);
}

}  // namespace tandem::python

namespace tandem {

using python::AllGatherMmCall;
using python::MmAllReduceCall;
using python::MmReduceScatterCall;

template <>
const OperatorTable<MmAllReduceCall>& table_of<MmAllReduceCall>() {
  static constexpr OperatorTable<MmAllReduceCall> kTable{
      "mm_all_reduce", "y = sum over ranks of (x1 @ x2 + bias + x3) + residual; norm = y * gamma / rms(y)",
      python::kReduced<MmAllReduceCall>, python::kNumbers<MmAllReduceCall>};
  return kTable;
}

template <>
const OperatorTable<MmReduceScatterCall>& table_of<MmReduceScatterCall>() {
  static constexpr OperatorTable<MmReduceScatterCall> kTable{
      "mm_reduce_scatter", "y = this rank's rows of the sum over ranks of (x1 @ x2 + bias + x3)",
      python::kReduced<MmReduceScatterCall>, python::kNumbers<MmReduceScatterCall>};
  return kTable;
}

template <>
const OperatorTable<AllGatherMmCall>& table_of<AllGatherMmCall>() {
  static constexpr OperatorTable<AllGatherMmCall> kTable{"all_gather_mm", "y = (x1 of all ranks) @ x2 + bias",
                                                         python::kGathered<AllGatherMmCall>,
                                                         python::kGatherNumbers<AllGatherMmCall>};
  return kTable;
}

}  // namespace tandem
