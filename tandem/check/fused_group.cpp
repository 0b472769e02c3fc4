// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/fused_group.h"

#include <fmt/format.h>

namespace tandem::fused {
namespace {

constexpr int64_t kTimeoutMs = 60000;
constexpr std::byte kPoison{0xcd};

Expected<Plan> plan_on(const MmAllReduce& op, int rank) {
  auto device = Device::get(rank);
  if (!device) return fail(device.error());
  return plan(op, **device);
}

Quant make_quant(const Problem& p, const RankData& data) {
  const Stored& scale = operand(data, "scale");
  if (!scale.present()) return std::monostate{};
  if (p.integer()) return Int8Scale{scale.view({scale.cols}), operand(data, "token").view({p.m})};
  const Stored& offset = operand(data, "offset");
  if (p.scales != "group") return WeightScale{scale.view({scale.cols}), offset.view({scale.cols}), 0};
  return WeightScale{scale.view({scale.rows, p.n}), offset.view({scale.rows, p.n}), p.group};
}

NormQuant make_norm_quant(const Problem& p, const RankData& data, Outputs& out) {
  out.quantised.assign(static_cast<size_t>(p.m * p.n), kPoison);
  NormQuant quant;
  quant.y = make_tensor(out.quantised.data(), DType::i8, {p.m, p.n});
  if (p.quant == "static") {
    quant.scale = operand(data, "qscale").view({p.n});
    quant.offset = operand(data, "qoffset").view({p.n});
    return quant;
  }
  out.row_scale.assign(static_cast<size_t>(p.m) * sizeof(float), kPoison);
  quant.row_scale = make_tensor(out.row_scale.data(), DType::f32, {p.m});
  quant.smooth = operand(data, "smooth").view({p.n});
  return quant;
}

Status finish(Stream& stream) {
  const auto status = stream.synchronize_for(kTimeoutMs);
  if (!status) return fail(ErrorCode::timed_out, "the stream did not come to rest");
  return *status;
}

}  // namespace

Call make_call(const Problem& p, const RankData& data, std::string_view group) {
  Call call;
  call.out.y.assign(dtype_bytes(p.output, p.m * p.n), kPoison);
  call.out.norm.assign(p.tail ? call.out.y.size() : 0, kPoison);
  MmAllReduce& op = call.op;
  op.x1 = operand(data, "x1").view({p.m, p.k});
  op.x2 = operand(data, "x2").view({p.k, p.n});
  op.bias = operand(data, "bias").view({p.n});
  op.x3 = operand(data, "x3").view({p.m, p.n});
  op.quant = make_quant(p, data);
  op.group = group;
  op.reduction = p.reduction;
  if (p.wire) op.wire = Int8Wire{operand(data, "first").view({p.n}), operand(data, "second").view({p.n})};
  op.y = make_tensor(call.out.y.data(), p.output, {p.m, p.n});
  if (!p.tail) return call;
  AddRmsNorm tail;
  tail.residual = operand(data, "residual").view({p.m, p.n});
  tail.gamma = operand(data, "gamma").view({p.n});
  tail.epsilon = p.epsilon;
  tail.norm = make_tensor(call.out.norm.data(), p.output, {p.m, p.n});
  tail.residual_replicated = p.replicated;
  if (p.quant != "none") tail.quant = make_norm_quant(p, data, call.out);
  op.then = tail;
  return call;
}

Expected<CppGroup> CppGroup::make(int ranks, size_t window_bytes) {
  CppGroup group;
  auto communicators = Communicator::local(ranks, {}, {}, window_bytes);
  if (!communicators) return fail(communicators.error());
  group.communicators_ = std::move(*communicators);
  for (const auto& communicator : group.communicators_) {
    auto device = Device::get(communicator->device());
    if (!device) return fail(device.error());
    auto stream = Stream::create(**device);
    if (!stream) return fail(stream.error());
    group.streams_.push_back(std::move(*stream));
  }
  return group;
}

Expected<std::vector<Outputs>> CppGroup::run(const Problem& p, std::span<const RankData> ranks, const Adjust& adjust) {
  std::vector<Call> calls;
  std::vector<Plan> plans;
  for (int rank = 0; rank < p.ranks; ++rank) {
    calls.push_back(make_call(p, ranks[static_cast<size_t>(rank)], name()));
    if (adjust) adjust(rank, calls.back().op);
    auto planned = plan_on(calls.back().op, rank);
    if (!planned) return fail(planned.error());
    plans.push_back(std::move(*planned));
  }
  if (Status status = run_plans(plans); !status) return fail(status.error());
  std::vector<Outputs> results;
  for (Call& call : calls) results.push_back(std::move(call.out));
  return results;
}

Status CppGroup::run_plans(const std::vector<Plan>& plans) {
  std::vector<std::vector<std::byte>> workspaces;
  for (const Plan& plan : plans) workspaces.emplace_back(plan.workspace_bytes(), kPoison);
  Status first;
  for (size_t rank = 0; rank < plans.size(); ++rank) {
    if (auto status = plans[rank].run(workspaces[rank], *streams_[rank]); !status && first) first = status;
  }
  for (const auto& stream : streams_) {
    if (auto status = finish(*stream); !status && first) first = status;
  }
  return first;
}

}  // namespace tandem::fused
