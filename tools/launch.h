// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/base/status.h"
#include "tools/job.h"

namespace tandem::tool {

// Runs every rank as a process of its own: copies of this program in its process group that die with it. The result is
// rank 0's, memory is summed. An error names the rank that ended first.
Expected<RankReport> launch_processes(const Job& job);

}  // namespace tandem::tool
