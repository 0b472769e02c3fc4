// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

namespace tandem::tool {

// What `tandem launch` was asked for.
struct LaunchFlags {
  int ranks = 1;
  bool prefix = true;  // lines of the ranks carry "[rank] "
  double grace_s = 5;  // from the first failure to the end of the others
  std::vector<std::string> program;
};

// Runs one process a rank on this host, each with RANK, WORLD_SIZE and their kin, and waits for all. Signals are passed
// on. When a rank fails, the others get the grace to tell what they saw, then SIGTERM, then SIGKILL; stderr says which
// rank ended how. Returns the exit code of the first rank that failed (128 + signal for a signal), 0 when none did. No
// process it started, or that those started, is left when it returns; if it is killed itself its ranks die with it.
int launch_program(const LaunchFlags& flags);

}  // namespace tandem::tool
