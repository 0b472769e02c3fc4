// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/compare/collective_peer.h"
#include "bench/op/operands.h"
#include "tandem/exec/lane.h"

namespace tandem::bench::op {

// Who is measured, and what it took: the slowest rank's microseconds of each round, and processor time of all ranks.
struct Contender {
  std::string name;
  std::function<Status(size_t copy)> run;
  const fused::Outputs* out = nullptr;  // what it writes, where that is the operator's output
  bool same_bits = false;               // as the operator's
  size_t copies = 1, next = 0;
  int iterations = 1;
  std::vector<double> rounds_us{}, cpu_us{};
  std::string wrong{};
};

// What the chains of a problem need and keep.
struct ChainContext {
  const std::shared_ptr<Communicator>& comm;
  Device& device;
  Lane& lane;
};

// Our operator; our kernels one after the other; the product alone; the arithmetic without communication.
Expected<std::vector<Contender>> own_contenders(const std::shared_ptr<Operands>& operands, const ChainContext& context);

// Another library's product, the other communication library's all-reduce (null: ours), our add and rms_norm. Absent
// ones leave a line in `not_shown`.
std::vector<Contender> peer_contenders(const std::shared_ptr<Operands>& operands, const ChainContext& context,
                                       const OpOptions& options, const TandemCollectivePeer* peer,
                                       std::vector<std::string>& not_shown);

}  // namespace tandem::bench::op
