// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "tandem/base/status.h"
#include "tandem/llm/description.h"
#include "tandem/llm/smoothing.h"

namespace tandem {

// How the range of a static layer's input is found: of all values, of |x| up to a quantile, or of the candidate that
// costs the output least.
enum class Clip : uint8_t { none, percentile, seed, mse };

struct Recipe {
  std::string name;
  LinearType attention = LinearType::floating, dense = LinearType::floating, experts = LinearType::floating;
  WeightForm form;
  Clip clip = Clip::none;
  double quantile = 0.999;
  Smoothing smoothing = Smoothing::none;
};

// `recipe`: seed, w8a8, w8a8-dynamic, w8a16, w4a16 or w4a16-gN; `clip`: none, percentile:P, mse, or empty for the
// recipe's own; `smooth`: none, m1, m3, m4, m6. Experts are never static: engines that load this format lack it.
Expected<Recipe> parse_recipe(const std::string& recipe, const std::string& clip, const std::string& smooth);

}  // namespace tandem
