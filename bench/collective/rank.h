// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/collective/options.h"
#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"

namespace tandem::bench {

// Measures everything asked for as one rank of the communicator; all ranks are given the same options. Rank 0 returns
// the rows (see report.h), the others null. `meeting` is a folder of this run for the peer.
Expected<nlohmann::json> run_collective_rank(const std::shared_ptr<Communicator>& comm,
                                             const CollectiveOptions& options, const std::string& meeting);

}  // namespace tandem::bench
