// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>

#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/lane.h"

namespace tandem::bench {

// The parts collectives are made of, measured by all ranks of the communicator at once, in seconds: "wait" (a hand-over
// among all), "call" (a barrier besides its wait), and of a byte, by size of the buffers: "put" (into the own window),
// "get" (out of a peer's), "combine" (a byte of input, of two).
Expected<nlohmann::json> calibrate(Communicator& comm, Lane& lane);

}  // namespace tandem::bench
