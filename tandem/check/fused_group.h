// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/check/fused_problem.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/mm_all_reduce.h"

namespace tandem::fused {

// Output bytes of one rank.
struct Outputs {
  std::vector<std::byte> y, norm;
  std::vector<std::byte> quantised, row_scale;
  bool operator==(const Outputs&) const = default;
};

// What one rank passes to plan(): the tensors of `data` and places for the outputs. A second step may change it.
struct Call {
  MmAllReduce op;
  Outputs out;
};
Call make_call(const Problem& problem, const RankData& data, std::string_view group);

// Ranks as threads of this process through the C++ API: a communicator and a stream for each.
class CppGroup {
 public:
  static Expected<CppGroup> make(int ranks, size_t window_bytes = 0);

  // All ranks' results. `adjust` may edit the parameter struct of a rank before it is planned.
  using Adjust = std::function<void(int rank, MmAllReduce&)>;
  Expected<std::vector<Outputs>> run(const Problem& problem, std::span<const RankData> ranks,
                                     const Adjust& adjust = {});

  // One plan of each rank, all at once; the first error.
  Status run_plans(const std::vector<Plan>& plans);

  const std::string& name() const { return communicators_.front()->name(); }

 private:
  std::vector<std::shared_ptr<Communicator>> communicators_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace tandem::fused
