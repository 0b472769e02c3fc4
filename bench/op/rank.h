// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/op/options.h"
#include "tandem/comm/communicator.h"

namespace tandem::bench::op {

// Measures as one rank. Rank 0 returns the rows; the others nothing.
Expected<nlohmann::json> run_op_rank(const std::shared_ptr<Communicator>& comm, const OpOptions& options);

}  // namespace tandem::bench::op
