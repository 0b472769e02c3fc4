// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"

namespace tandem::tool {

inline constexpr double kMostGraceSeconds = 1e6;

// What the launcher of one host starts: ranks first .. first + ranks - 1 of world.
struct LaunchOrder {
  int first = 0, ranks = 1, world = 1;
  std::string job;                   // text that all ranks share and nobody else knows
  std::string master = "127.0.0.1";  // where rank 0 listens
  int port = 0;
  double grace_s = 5;
  bool prefix = true;
  std::string folder;                  // working directory; empty: as it is
  std::vector<std::string> variables;  // NAME=VALUE beside the environment
  std::vector<std::string> program;
};

// One line of JSON without its end. Errors of reading name the key.
std::string order_line(const LaunchOrder& order);
Expected<LaunchOrder> read_order(std::string_view line);

struct HostSlots {
  std::string name;
  int slots = 1;
};

// A hosts file: "name [slots=N]" a line, # begins a comment. Errors name the line.
Expected<std::vector<HostSlots>> read_hosts(std::string_view text, std::string_view file);
// Ranks of each host, slots filled in the order of the file; 0 ranks: all slots. Hosts without ranks are left out.
Expected<std::vector<HostSlots>> share_ranks(const std::vector<HostSlots>& hosts, int ranks);

}  // namespace tandem::tool
