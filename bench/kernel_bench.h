// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "bench/options.h"

namespace tandem::bench {

struct Outcome {
  nlohmann::json json;
  std::string text;
  size_t rows = 0, refused = 0;
};

// Measures what the options ask; progress goes to stderr.
Outcome run_kernel_bench(const Options& options);
// Whether the names in the options mean something; empty, or what is wrong.
std::string complaint_about(const Options& options);

}  // namespace tandem::bench
