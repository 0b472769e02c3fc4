// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/sweep_split.h"

#include <algorithm>
#include <functional>

#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/mm_reduce_scatter.h"

namespace tandem::fused {
namespace {

using Bytes = std::vector<std::byte>;

struct Rank {
  RankData data;
  Call call;
  Bytes gathered;
};

MmReduceScatter scattered(Rank& rank, int64_t first, int64_t count) {
  MmReduceScatter op{rank.call.op, {}};
  op.product.y = op.product.y.rows(first, count);
  if (!op.product.then) return op;
  AddRmsNorm& tail = *op.product.then;
  tail.residual = tail.residual.rows(first, count);
  tail.norm = tail.norm.rows(first, count);
  return op;
}

AllGatherMm gathered(const Problem& p, Rank& rank, int64_t first, int64_t count) {
  AllGatherMm op{rank.call.op, {}, {}};
  op.product.x1 = op.product.x1.rows(first, count);
  auto* quant = std::get_if<Int8Scale>(&op.product.quant);
  if (quant != nullptr && quant->token.present()) quant->token = quant->token.rows(first, count);
  rank.gathered.resize(dtype_bytes(p.dtype, p.m * p.k));
  op.gathered = make_tensor(rank.gathered.data(), p.dtype, {p.m, p.k});
  return op;
}

// Rows [first, first + count) of `from` into `to`.
void take_rows(const Bytes& from, Bytes& to, size_t row_bytes, int64_t first, int64_t count) {
  if (from.empty()) return;
  const auto begin = static_cast<std::ptrdiff_t>(static_cast<size_t>(first) * row_bytes);
  std::copy_n(from.begin() + begin, static_cast<size_t>(count) * row_bytes, to.begin() + begin);
}

Expected<Plan> plan_rank(const Problem& p, Rank& rank, int index, int64_t first, const std::vector<int64_t>& counts,
                         Split split) {
  auto device = Device::get(index);
  if (!device) return fail(device.error());
  const int64_t count = counts[static_cast<size_t>(index)];
  const bool even = std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>()) == counts.end();
  if (split == Split::scattered) {
    MmReduceScatter op = scattered(rank, first, count);
    if (!even) op.counts = counts;
    return plan(op, **device);
  }
  AllGatherMm op = gathered(p, rank, first, count);
  if (!even) op.counts = counts;
  return plan(op, **device);
}

Expected<Outputs> collect(const Problem& p, const std::vector<Rank>& ranks, const std::vector<int64_t>& counts,
                          Split split) {
  Outputs whole = ranks.front().call.out;
  int64_t first = 0;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const Outputs& own = ranks[rank].call.out;
    if (split == Split::scattered) {
      const size_t row_bytes = dtype_bytes(p.output, p.n);
      take_rows(own.y, whole.y, row_bytes, first, counts[rank]);
      take_rows(own.norm, whole.norm, row_bytes, first, counts[rank]);
    } else if (!(own == whole)) {
      return fail(ErrorCode::internal, "ranks have other bits");
    } else if (ranks[rank].gathered != operand(ranks[rank].data, "x1").bytes) {
      return fail(ErrorCode::internal, "the gathered rows are not those of x1");
    }
    first += counts[rank];
  }
  return whole;
}

}  // namespace

Expected<Outputs> run_split(CppGroup& group, const Problem& p, const std::vector<int64_t>& counts, Split split) {
  std::vector<Rank> ranks(counts.size());
  std::vector<Plan> plans;
  int64_t first = 0;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    ranks[rank].data = make_rank(p, split == Split::scattered ? static_cast<int>(rank) : 0);
    ranks[rank].call = make_call(p, ranks[rank].data, group.name());
    auto planned = plan_rank(p, ranks[rank], static_cast<int>(rank), first, counts, split);
    if (!planned) return fail(planned.error());
    plans.push_back(std::move(*planned));
    first += counts[rank];
  }
  if (Status status = group.run_plans(plans); !status) return fail(status.error());
  return collect(p, ranks, counts, split);
}

}  // namespace tandem::fused
