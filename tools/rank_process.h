// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "tandem/base/status.h"
#include "tools/job.h"

namespace tandem::tool {

// What the launcher tells a rank process through TANDEM_RENDEZVOUS.
struct RankTicket {
  int rank = 0;
  int size = 1;
  long parent = 0;      // process id of the launcher
  std::string address;  // unguessable, the same for all ranks of a launch
};
// The rank's report goes to this descriptor.
inline constexpr int kReportDescriptor = 3;

std::string write_ticket(const RankTicket& ticket);
Expected<RankTicket> read_ticket(const std::string& text);

// Whether this process was started by launch_processes().
bool is_rank_process();
// Runs one rank; its report or error goes to the launcher, text of rank 0 to stdout. Returns the exit code.
int run_rank_process(const GenerateFlags& flags);

}  // namespace tandem::tool
