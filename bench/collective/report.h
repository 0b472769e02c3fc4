// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "bench/collective/options.h"

namespace tandem::bench {

// A report: {"machine", "settings", "groups": [{"ranks_as", "rows", "peer"?}], "not_shown"}.
nlohmann::json collective_machine();
nlohmann::json settings_json(const CollectiveOptions& options);

// nccl-tests' table; with a peer its time and the ratio beside it.
std::string nccl_text(const nlohmann::json& report);
// hccl_test's table.
std::string hccl_text(const nlohmann::json& report);
// Rows with a wrong element.
int64_t count_wrong_rows(const nlohmann::json& report);

// Bandwidth and latency over size, as SVG.
std::string collective_svg(const nlohmann::json& report);

}  // namespace tandem::bench
