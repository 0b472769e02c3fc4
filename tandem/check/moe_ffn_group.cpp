// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/moe_ffn_group.h"

#include <algorithm>

#include "tandem/exec/device.h"

namespace tandem::moe_ffn_case {
namespace {

constexpr int64_t kTimeoutMs = 60000;

// Operands and results of one rank.
struct Part {
  Data data;
  Matrix y, expert, weight, tokens, dropped, imbalance;
  MoeFfn op;
};

int64_t share(int64_t all, int rank, int ranks) { return all * rank / ranks; }

// Columns of the first linears (of both halves) and rows of the second.
void take_columns(const Problem& p, const Data& whole, const Spread& spread, int rank, Data& part) {
  const int64_t first = share(p.inner, rank, spread.ranks), last = share(p.inner, rank + 1, spread.ranks);
  const auto columns = [&](const Matrix& m) {
    Matrix some = m.part(0, m.rows, first, last);
    return p.gated ? beside(some, m.part(0, m.rows, p.inner + first, p.inner + last)) : some;
  };
  for (size_t e = 0; e < whole.first.size(); ++e) {
    part.first.push_back(columns(whole.first[e]));
    part.second.push_back(whole.second[e].part(first, last, 0, p.hidden));
    if (!p.quantised) continue;
    part.first_scale.push_back(columns(whole.first_scale[e]));
    part.second_scale.push_back(whole.second_scale[e]);
  }
}

void take_experts(const Problem& p, const Data& whole, const Spread& spread, int rank, Data& part) {
  for (int64_t e = 0; e < p.experts; ++e) {
    const auto at = static_cast<size_t>(e);
    const int64_t plain = ((e + 1) * spread.ranks - 1) / p.experts;
    if ((spread.owner.empty() ? plain : spread.owner[at]) != rank) continue;
    part.first.push_back(whole.first[at]);
    part.second.push_back(whole.second[at]);
    if (!p.quantised) continue;
    part.first_scale.push_back(whole.first_scale[at]);
    part.second_scale.push_back(whole.second_scale[at]);
  }
}

void fill(std::vector<TensorView>& list, std::vector<Matrix>& from, bool flat) {
  for (Matrix& m : from) list.push_back(flat ? m.flat() : m.view());
}

void make_part(const Problem& p, const Data& whole, const Spread& spread, int rank, Part& part) {
  const bool own_rows = spread.expert_parallel;
  const int64_t first = own_rows ? share(p.rows, rank, spread.ranks) : 0;
  const int64_t last = own_rows ? share(p.rows, rank + 1, spread.ranks) : p.rows;
  part.data.x = whole.x.part(first, last, 0, p.hidden);
  part.data.router = whole.router;
  if (own_rows) take_experts(p, whole, spread, rank, part.data);
  if (!own_rows) take_columns(p, whole, spread, rank, part.data);
  part.y = Matrix(p.dtype, last - first, p.hidden);
  part.expert = Matrix(DType::i32, last - first, p.top_k);
  part.weight = Matrix(DType::f32, last - first, p.top_k);
  part.tokens = Matrix(DType::i64, 1, p.experts);
  part.dropped = Matrix(DType::i64, 1, 1);
  part.imbalance = Matrix(DType::f32, 1, 1);
  MoeFfn& op = part.op;
  op.x = part.data.x.view();
  op.router = part.data.router.view();
  fill(op.first, part.data.first, false);
  fill(op.second, part.data.second, false);
  fill(op.first_scale, part.data.first_scale, true);
  fill(op.second_scale, part.data.second_scale, true);
  op.y = part.y.view();
  op.expert = part.expert.view();
  op.weight = part.weight.view();
  op.tokens = part.tokens.flat();
  op.dropped = part.dropped.flat();
  op.imbalance = part.imbalance.flat();
  op.top_k = p.top_k;
  op.capacity = p.capacity;
  op.normalise = p.normalise;
  op.gated = p.gated;
  op.pad = p.pad;
  op.activation = p.activation == "gelu" ? Unary::gelu : Unary::silu;
  op.expert_parallel = spread.expert_parallel;
  op.owner = spread.owner;
}

template <class T>
void append(std::vector<T>& to, const Matrix& from) {
  const auto* values = reinterpret_cast<const T*>(from.bytes.data());
  to.insert(to.end(), values, values + from.rows * from.cols);
}

// Rows of all ranks; where all have all rows, they have to agree.
Expected<Result> gather(const Spread& spread, const std::vector<Part>& parts) {
  Result result;
  for (const Part& part : parts) {
    Result own;
    own.y = part.y.bytes;
    append(own.expert, part.expert);
    append(own.weight, part.weight);
    append(own.tokens, part.tokens);
    std::vector<int64_t> dropped;
    std::vector<float> imbalance;
    append(dropped, part.dropped);
    append(imbalance, part.imbalance);
    own.dropped = dropped.front();
    own.imbalance = imbalance.front();
    if (&part == &parts.front()) {
      result = own;
      continue;
    }
    const bool same = own.tokens == result.tokens && own.dropped == result.dropped && own.imbalance == result.imbalance;
    if (!same) return fail(ErrorCode::internal, "ranks report different loads");
    if (!spread.expert_parallel && !(own == result)) return fail(ErrorCode::internal, "ranks have different bits");
    if (!spread.expert_parallel) continue;
    result.y.insert(result.y.end(), own.y.begin(), own.y.end());
    result.expert.insert(result.expert.end(), own.expert.begin(), own.expert.end());
    result.weight.insert(result.weight.end(), own.weight.begin(), own.weight.end());
  }
  return result;
}

Status finish(Stream& stream) {
  const auto status = stream.synchronize_for(kTimeoutMs);
  if (!status) return fail(ErrorCode::timed_out, "the stream did not come to rest");
  return *status;
}

}  // namespace

Expected<Groups::Group*> Groups::find(int ranks) {
  const auto found = groups_.find(ranks);
  if (found != groups_.end() && found->second.communicators.front()->health()) return &found->second;
  if (found != groups_.end()) groups_.erase(found);
  auto communicators = Communicator::local(ranks);
  if (!communicators) return fail(communicators.error());
  Group group{std::move(*communicators), {}};
  for (const auto& communicator : group.communicators) {
    auto device = Device::get(communicator->device());
    if (!device) return fail(device.error());
    auto stream = Stream::create(**device);
    if (!stream) return fail(stream.error());
    group.streams.push_back(std::move(*stream));
  }
  return &(groups_[ranks] = std::move(group));
}

Expected<Result> Groups::run(const Problem& p, const Data& data, const Spread& spread, const Adjust& adjust) {
  const auto group = find(spread.ranks);
  if (!group) return fail(group.error());
  std::vector<Part> parts(static_cast<size_t>(spread.ranks));
  std::vector<Plan> plans;
  std::vector<std::vector<std::byte>> workspaces;
  for (int rank = 0; rank < spread.ranks; ++rank) {
    Part& part = parts[static_cast<size_t>(rank)];
    make_part(p, data, spread, rank, part);
    part.op.group = (*group)->communicators.front()->name();
    if (adjust) adjust(rank, part.op);
    auto device = Device::get((*group)->communicators[static_cast<size_t>(rank)]->device());
    if (!device) return fail(device.error());
    auto planned = plan(part.op, **device);
    if (!planned) return fail(planned.error());
    plans.push_back(std::move(*planned));
    workspaces.emplace_back(plans.back().workspace_bytes());
  }
  Status first;
  for (size_t rank = 0; rank < plans.size(); ++rank) {
    if (auto status = plans[rank].run(workspaces[rank], *(*group)->streams[rank]); !status && first) first = status;
  }
  for (const auto& stream : (*group)->streams) {
    if (auto status = finish(*stream); !status && first) first = status;
  }
  if (!first) return fail(first.error());
  return gather(spread, parts);
}

}  // namespace tandem::moe_ffn_case
