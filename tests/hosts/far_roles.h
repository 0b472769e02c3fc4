// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

namespace tandem::test {

// Roles of ranks that live on several hosts; falls back on those of tests/ranks. Returns the exit code.
int run_far_role(const std::string& role, int rank, int size, const std::string& address);

}  // namespace tandem::test
