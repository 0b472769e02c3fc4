// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tests/ops/cpp_call.h"
#include "tests/ops/oracle.h"

namespace tandem::ops_test {

struct Operator {
  std::string name;
  Outcome (*call)(Case);
  Oracle oracle = nullptr;
};
const std::vector<Operator>& operators();
const Operator& find_operator(const std::string& name);

// Calls the case through C++ and through every vendor function it names; "" or what was wrong.
std::string run_case(const Case& c);

}  // namespace tandem::ops_test
