// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

namespace tandem::test {

// What a rank process does; prints its findings line by line and returns its exit code.
int run_role(const std::string& role, int rank, int size, const std::string& address);

}  // namespace tandem::test
