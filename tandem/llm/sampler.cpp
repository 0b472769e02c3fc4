// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/sampler.h"

#include "tandem/llm/elementary.h"

namespace tandem {
namespace {

// exp((logit - top) / temperature); NaN and what lies below every number weigh nothing.
double weight_of(float logit, double top, double temperature) {
  if (logit != logit) return 0.0;
  const double distance = static_cast<double>(logit) - top;
  return distance == 0.0 ? 1.0 : elementary::exp(distance / temperature);
}

}  // namespace

int32_t largest(std::span<const float> logits) {
  int32_t best = -1;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float value = logits[i];
    if (value != value) continue;
    if (best < 0 || value > logits[static_cast<size_t>(best)]) best = static_cast<int32_t>(i);
  }
  return best < 0 ? 0 : best;
}

int32_t Sampler::pick(std::span<const float> logits) {
  const int32_t best = largest(logits);
  if (temperature_ <= 0.0 || logits.empty()) return best;
  const double top = static_cast<double>(logits[static_cast<size_t>(best)]);
  double total = 0.0;
  for (const float logit : logits) total += weight_of(logit, top, temperature_);
  const double target = random_.uniform() * total;
  double sum = 0.0;
  for (size_t i = 0; i < logits.size(); ++i) {
    sum += weight_of(logits[i], top, temperature_);
    if (sum > target) return static_cast<int32_t>(i);
  }
  return best;
}

}  // namespace tandem
