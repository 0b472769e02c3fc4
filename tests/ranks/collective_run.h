// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "collective_cases.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/team.h"

namespace tandem::test {

// What a kernel needs, for a thread that is no stream's worker.
struct OwnLane {
  ThreadTeam team{1};
  Scratch scratch;
  Lane lane{&team, nullptr, &scratch};
};

// Runs the case on this rank and compares every byte of its output; "" when all is right.
std::string run_case(const CollectiveCase& c, Communicator& comm, Lane& lane);

// The case is for this build: it combines nothing, or the table can.
bool runnable(const CollectiveCase& c);

}  // namespace tandem::test
