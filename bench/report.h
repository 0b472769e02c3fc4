// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/session.h"

namespace tandem::bench {

// Time, rates and shares of one row.
struct Figures {
  double seconds = 0, least = 0, bytes_per_second = 0, flops_per_second = 0;
  double fma = NAN, compute = NAN, memory = NAN, roofline = NAN;  // shares
};
Figures figures_of(const Row& row);

// All of a run: machine, settings, limits, rows, what was refused or not shown.
nlohmann::json report_json(const Session& session);
// The same for people: one line a row.
std::string report_text(const Session& session);

}  // namespace tandem::bench
