// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

namespace tandem::ops_test {

// A line of the contract that relates several calls.
struct Property {
  std::string line;
  std::string (*check)();  // "" or what was wrong
};
const std::vector<Property>& properties();

}  // namespace tandem::ops_test
