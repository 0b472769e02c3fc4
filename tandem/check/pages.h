// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>

namespace tandem::check {

// The tables of the operators of one device: name, formula, operands, numbers of each.
nlohmann::json pages();

}  // namespace tandem::check
