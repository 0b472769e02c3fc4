// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <vector>

#include "bench/op/contender.h"

namespace tandem::bench::op {

// What this rank's cores can do at best, as contenders of the same rounds: reading a block of as many bytes as the
// weight, and multiply-adds from registers. None in a build without Google Benchmark.
std::vector<Contender> limit_contenders(const OpProblem& problem, Lane& lane, size_t pool_bytes);
inline constexpr const char* kReadLimit = "read limit";
inline constexpr const char* kPeak = "arithmetic limit";
// Operations of one call of the arithmetic limit on one rank.
double operations_of_peak(const OpProblem& problem, const Lane& lane);

}  // namespace tandem::bench::op
