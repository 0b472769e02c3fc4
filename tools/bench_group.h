// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/base/status.h"

namespace tandem::tool {

// Rank processes of one measurement: copies of this program with its own arguments and those of the group.
struct RankGroup {
  int ranks = 2;
  std::string peer;     // runs beside ours in the same processes; empty: none
  std::string meeting;  // folder of this run, for the peer
  bool progress = false;
  std::vector<std::string> more{};  // arguments behind this process's own
};

// How the group of this peer is started, or what is missing for it.
Expected<std::vector<std::string>> launcher_of(const std::string& peer, int ranks);
// Starts the ranks and returns what rank 0 wrote. They die with this process; an interrupt ends them, then this
// process.
Expected<nlohmann::json> run_group(const RankGroup& group);

}  // namespace tandem::tool
