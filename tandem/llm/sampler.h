// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>

#include "tandem/llm/random.h"

#pragma GCC visibility push(default)
namespace tandem {

  // Picks the next token. Temperature 0 is the largest logit, ties to the lowest id. NaN is below every number.
  class Sampler {
   public:
    Sampler(double temperature, uint64_t seed) : temperature_(temperature), random_(seed) {}
    int32_t pick(std::span<const float> logits);

   private:
    double temperature_;
    Random random_;
  };

  int32_t largest(std::span<const float> logits);

}  // namespace tandem
#pragma GCC visibility pop
