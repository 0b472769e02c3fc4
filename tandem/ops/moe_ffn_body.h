// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tandem/ops/mm_all_reduce_body.h"
#include "tandem/ops/moe_ffn.h"

// What plan() settled about one moe_ffn; execute() only obeys. Internal to ops.
namespace tandem {

struct MoeFfnBody final : Plan::Body {
  MoeFfn op;
  std::shared_ptr<Communicator> comm;
  const KernelTable* table = nullptr;
  int64_t rows = 0, hidden = 0, experts = 0, inner = 0;  // inner: columns of this rank's first without the gate
  bool quantised = false;
  // Expert-parallel: ids in the order of their ranks, where each stands in it, and this rank's experts [mine,
  // mine_end).
  std::vector<int32_t> by_owner, position, owner;
  int64_t mine = 0, mine_end = 0;
  // Tensor-parallel: the second linear with its weighted sum and all-reduce; addresses of operands are filled in at
  // run.
  std::shared_ptr<MmAllReduceBody> down;

  size_t workspace_bytes() const override { return empty() ? 0 : 512; }
  std::string_view name() const override { return "moe_ffn"; }
  std::string describe() const override;
  Communicator* communicator() const override { return empty() ? nullptr : comm.get(); }
  Status execute(std::span<std::byte> workspace, Lane& lane) const override;

  int64_t slots() const { return rows * op.top_k; }
  int64_t local_experts() const { return static_cast<int64_t>(op.first.size()); }
  // Without rows there is nothing to do, unless other ranks may send some.
  bool empty() const { return rows == 0 && !op.expert_parallel; }
  Fingerprint fingerprint() const;
};

}  // namespace tandem
