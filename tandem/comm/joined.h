// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "tandem/comm/bridge.h"
#include "tandem/comm/communicator.h"
#include "tandem/comm/descriptor.h"
#include "tandem/comm/segment.h"
#include "tandem/exec/wait.h"

namespace tandem {

// What a rank has in its hands when all have met; vectors by rank.
struct Joined {
  std::vector<std::shared_ptr<SegmentMap>> segments;  // of other hosts' ranks: copies
  std::vector<int> pids;                              // 0 for ranks of other hosts
  std::vector<Descriptor> pidfds;
  std::vector<Descriptor> witnesses;
  std::unique_ptr<Bridge> bridge = nullptr;
  std::vector<std::string> addresses = {};  // of each rank's host, where they met over TCP
  int leader = 0;                           // lowest rank of this host
  int ranks_of_host = 1;
  int ranks_per_host = 0;                   // see Communicator
};

// The ranks `ranks` of this host, in rising order, meet at their Unix socket and map each other's segments. What
// belongs to other ranks is left empty.
Expected<Joined> join_on_host(const Rendezvous& rendezvous, const std::shared_ptr<SegmentMap>& own,
                              std::span<const int> ranks, Deadline deadline);
// All ranks meet at rank 0's TCP address, then those of each host.
Expected<Joined> join_over_tcp(const Rendezvous& rendezvous, const std::shared_ptr<SegmentMap>& own, Deadline deadline);

}  // namespace tandem
