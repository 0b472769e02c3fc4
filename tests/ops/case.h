// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tandem/check/operators.h"

// Cases as data: tests/cases/<family>.json, whose "about" explains the fields.
namespace tandem::ops_test {

using check::Case;
using check::compare;
using check::find_operator;
using check::Operand;
using check::Operator;
using check::Outcome;
using check::parse_case;
using check::Results;
using check::Wanted;

std::vector<Case> read_cases(const std::string& family);
// What file `family` says beside its cases.
nlohmann::json read_family(const std::string& family);

// Calls the case through C++ and through every vendor function it names; "" or what was wrong.
std::string run_case(const Case& c);

}  // namespace tandem::ops_test
