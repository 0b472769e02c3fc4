// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <vector>

#include "tandem/check/fused_group.h"

namespace tandem::fused {

// The same problem through the vendor's interface, one thread per rank; empty results and a message on failure. `newest`:
// of several versions of a function the last.
struct AclnnResult {
  std::vector<Outputs> ranks;
  std::string error;
};
AclnnResult run_aclnn(const Problem& problem, std::span<const RankData> ranks, bool newest = false);

// aclInit once per process.
void start_acl();

}  // namespace tandem::fused
