// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tandem/check/cpp_call.h"
#include "tandem/check/oracle.h"

namespace tandem::check {

struct Operator {
  std::string name;
  Outcome (*call)(Case);
  Oracle oracle = nullptr;
};
const std::vector<Operator>& operators();
const Operator& find_operator(const std::string& name);

}  // namespace tandem::check
