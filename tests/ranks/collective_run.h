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

// Where buffers lie: the rank's own memory, device memory that peers may map, or that on even ranks only.
enum class Memory { own, device, mixed };

// Runs the case on this rank and compares every byte of its output; "" when all is right.
std::string run_case(const CollectiveCase& c, Communicator& comm, Lane& lane, Memory memory = Memory::own);

// The case is for this build: it combines nothing, or the table can.
bool runnable(const CollectiveCase& c);

}  // namespace tandem::test
