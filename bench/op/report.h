// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace tandem::bench::op {

// Adds to every row what follows from its times: bound, shares, ratios.
void add_figures(nlohmann::json& report);
std::string op_text(const nlohmann::json& report);
int64_t count_wrong(const nlohmann::json& report);

// A span of a trace, as the picture shows it.
struct LaneSpan {
  int64_t rank = 0;
  std::string category;
  double begin_us = 0, end_us = 0;
};
// Lanes of one call of every rank, and each row's operations a second under the limits measured beside it.
std::string op_svg(const nlohmann::json& report, const std::vector<LaneSpan>& lanes);

}  // namespace tandem::bench::op
