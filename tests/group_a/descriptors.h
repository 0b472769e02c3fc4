// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "tests/group_a/cases.h"
#include "tests/group_a/vendor.h"

namespace tandem::group_a {

// How the case presents the tensor `name` (x1 x2 bias scale offset residual gamma y norm).
Descriptor describe(const Case& test, const std::string& name);

// Whether `message` names `word`: anywhere for long words, as a whole word for those of up to two letters.
bool mentions(const std::string& message, const std::string& word);

}  // namespace tandem::group_a
