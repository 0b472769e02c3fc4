// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

namespace tandem::tool {

// What `tandem launch` was asked for.
struct LaunchFlags {
  int ranks = 0;       // 0: every slot of the hosts
  bool prefix = true;  // lines of the ranks carry "[rank] "
  double grace_s = 5;  // from the first failure to the end of the others
  std::vector<std::string> program;
  std::vector<std::string> variables;                 // NAME=VALUE
  std::string hosts;                                  // file; empty: this host
  std::string remote_shell = "ssh -o BatchMode=yes";  // HOST COMMAND is added
  std::string remote_tool;                            // this program on the other hosts; empty: the same path
  int port = 0;                                       // where the ranks of several hosts meet; 0: any
  bool agent = false;                                 // the order comes by standard input
};

// Runs one process a rank, each with RANK, WORLD_SIZE and their kin, and waits for all (LaunchedJob). Other hosts are
// reached by a remote shell that runs `tandem launch --agent` there; if this launcher dies, so do theirs and all ranks.
int launch_program(const LaunchFlags& flags);

}  // namespace tandem::tool
