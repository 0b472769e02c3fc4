// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tandem/comm/communicator.h"
#include "tandem/kernels/table.h"
#include "tandem/ops/mm_all_reduce.h"
#include "tandem/ops/planner.h"
#include "tandem/ops/row_exchange.h"

// What plan() settled about one mm_all_reduce; execute() only obeys. Internal to ops.
namespace tandem {

// Bits of Fingerprint::local: what this rank adds after the tree.
inline constexpr uint32_t kLocalBiasVector = 1;
inline constexpr uint32_t kLocalBiasRows = 2;  // int32 bias times a per-token scale: one row of bias per row of output
inline constexpr uint32_t kLocalX3 = 4;

enum class Tail : uint8_t { none, add, add_rms_norm, add_replicated, add_rms_norm_replicated };

// Which rows of the whole product a rank's operands hold.
enum class RowSplit : uint8_t {
  none,       // all, in x1 and y
  scattered,  // y: its own
  gathered,   // x1: its own
};

constexpr std::string_view name_of(RowSplit split) {
  if (split == RowSplit::none) return "mm_all_reduce";
  return split == RowSplit::scattered ? "mm_reduce_scatter" : "all_gather_mm";
}

struct MmAllReduceBody final : Plan::Body {
  // Facts
  std::shared_ptr<Communicator> comm;
  const KernelTable* table = nullptr;
  int64_t rows = 0, n = 0, k = 0, top_k = 0;  // top_k 0: dense
  DType output = DType::none;
  Tail tail = Tail::none;
  double epsilon = 0;  // narrowed by the worker, whose rounding mode is known
  RowChunks chunks;
  Overlap overlap = Overlap::off;
  std::string_view overlap_why;
  uint32_t local = 0;
  Combine reduction = Combine::sum;
  bool own_terms = false;  // bias and x3 are added to the rank's partial, not to the sum
  bool staged = false;     // operands are rearranged in scratch in each run
  RowSplit split = RowSplit::none;
  std::vector<int64_t> starts;  // where each rank's rows begin, and the end; empty without a split
  // Operands
  GemmArgs product;             // x, w, scales; rows and outputs are filled in per chunk
  std::vector<Weight> experts;
  std::vector<ScaleView> expert_scale;  // int8 x int8
  TensorView expert, expert_weight, expert_token;
  TensorView x1, x2;            // read through `product`, but where they are staged
  TensorView bias, x3, residual, gamma, y, norm, gathered;
  TensorView channel, token;    // int8 x int8
  std::optional<Int8Wire> wire;
  std::optional<NormQuant> norm_quant;
  size_t workspace = 0;

  size_t workspace_bytes() const override { return workspace; }
  std::string_view name() const override { return name_of(split); }
  std::string describe() const override;
  Communicator* communicator() const override { return rows == 0 || n == 0 ? nullptr : comm.get(); }
  Status execute(std::span<std::byte> workspace, Lane& lane) const override;

  bool replicated() const { return tail == Tail::add_replicated || tail == Tail::add_rms_norm_replicated; }
  bool needs_norm() const { return norm.present() || norm_quant; }
  // Bytes between rows of int8, in whole words.
  int64_t wire_pitch() const { return (n + 3) / 4 * 4; }
  // Dense stand-ins for operands that are staged; false when memory was refused.
  bool stage(Lane& lane);
  int64_t start(int rank) const { return starts[static_cast<size_t>(rank)]; }
  int64_t count(int rank) const { return start(rank + 1) - start(rank); }
  Fingerprint fingerprint() const;
};

// What plan() makes, for operators that hold it and set addresses of operands at run. `counts`: rows of each rank where
// they are split; empty: equal parts.
Expected<std::shared_ptr<MmAllReduceBody>> make_body(const MmAllReduce& op, Device& device,
                                                     RowSplit split = RowSplit::none,
                                                     std::span<const int64_t> counts = {});

}  // namespace tandem
