// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace tandem::bench {

// A run as a picture: operations a second over operations a byte, under the limits measured beside them.
std::string roofline_svg(const nlohmann::json& report);

}  // namespace tandem::bench
