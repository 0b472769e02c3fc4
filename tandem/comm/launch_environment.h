// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"

#pragma GCC visibility push(default)
namespace tandem {

// What the launcher of this process says about its place in the job.
struct LaunchEnvironment {
  std::string_view launcher;  // "torchrun", "Open MPI", "MPICH", "srun", "rank table"
  int rank = 0;
  int size = 1;
  int local_rank = -1;     // on this host; -1 = not said
  int local_size = -1;     // ranks on this host; -1 = not said
  std::string master;      // host of rank 0, or empty
  int master_port = 0;     // free port there; 0 = not said
  std::string job;         // a text that the ranks share and no other job has; empty = not said
  std::string rank_table;  // file, or empty
};

// Value of an environment variable; nothing when it is unset or empty.
using Lookup = std::function<std::optional<std::string>(std::string_view name)>;

// The first launcher whose rank and size are both there: `tandem launch` and torchrun, mpirun of Open MPI and MPICH,
// srun, a rank table's RANK_ID; nothing when there is none. An error names the variable, what it says and what is
// wanted.
Expected<std::optional<LaunchEnvironment>> read_launch_environment(const Lookup& lookup);
// The same from this process's environment.
Expected<std::optional<LaunchEnvironment>> launch_environment();

// How this process meets the others of its job: by the rank table, else by the job's name. The device is the local
// rank.
Expected<Rendezvous> rendezvous_of(const LaunchEnvironment& environment, std::string_view name);

}  // namespace tandem
#pragma GCC visibility pop
