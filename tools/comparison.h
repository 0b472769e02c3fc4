// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tandem/llm/config.h"
#include "tandem/llm/generate.h"

namespace tandem::tool {

// What one text gave in the model that others are measured against.
struct Trace {
  std::vector<std::vector<float>> logits;     // by position
  std::vector<std::vector<int32_t>> experts;  // by layer: top_k per position, rising
  std::vector<std::vector<float>> hidden;     // by layer: hidden per position

  explicit Trace(const ModelConfig& config, bool keep_hidden);
  ScoreSink sink();
  bool keep_hidden;
};

// Sums over texts.
struct Figures {
  double nll = 0, against_nll = 0, kl = 0;
  int64_t tokens = 0;                      // that were predicted
  int64_t rows = 0;                        // positions that went through the layers
  int64_t agree = 0;                       // positions where both models prefer the same token
  std::vector<int64_t> flips;              // by layer: positions whose set of experts differs
  std::vector<std::vector<int64_t>> load;  // by layer and expert: times chosen
  std::vector<double> error, power;        // by layer: squares of the difference and of the reference
  std::vector<double> text_nll;            // mean of each text

  explicit Figures(const ModelConfig& config);
  double perplexity() const;
};

// Adds one text's values to `figures`; `against` may be null.
class TextScorer {
 public:
  TextScorer(const ModelConfig& config, std::span<const int32_t> tokens, const Trace* against, Figures& figures)
      : config_(config), tokens_(tokens), against_(against), figures_(figures) {}
  ScoreSink sink();
  void finish();

 private:
  void add_logits(int64_t position, std::span<const float> logits);
  void add_experts(int64_t first, size_t layer, std::span<const int32_t> experts);
  void add_hidden(int64_t first, size_t layer, std::span<const float> hidden);

  const ModelConfig& config_;
  std::span<const int32_t> tokens_;
  const Trace* against_;
  Figures& figures_;
  double nll_ = 0;
};

}  // namespace tandem::tool
