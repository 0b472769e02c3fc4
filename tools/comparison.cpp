// SPDX-License-Identifier: Apache-2.0
#include "tools/comparison.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tandem::tool {
namespace {

double log_sum(std::span<const float> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float value : logits) sum += std::exp(static_cast<double>(value) - most);
  return most + std::log(sum);
}

// KL of the reference's distribution from the model's.
double divergence(std::span<const float> reference, double reference_sum, std::span<const float> model,
                  double model_sum) {
  double total = 0;
  for (size_t i = 0; i < model.size(); ++i) {
    const double p = static_cast<double>(reference[i]) - reference_sum;
    total += std::exp(p) * (p - (static_cast<double>(model[i]) - model_sum));
  }
  return total;
}

size_t best(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

Trace::Trace(const ModelConfig& config, bool keep)
    : experts(static_cast<size_t>(config.layers)), hidden(static_cast<size_t>(config.layers)), keep_hidden(keep) {}

ScoreSink Trace::sink() {
  ScoreSink sink;
  sink.logits = [this](int64_t, std::span<const float> row) { logits.emplace_back(row.begin(), row.end()); };
  sink.experts = [this](int64_t, size_t layer, std::span<const int32_t> chosen) {
    experts[layer].insert(experts[layer].end(), chosen.begin(), chosen.end());
  };
  if (keep_hidden) {
    sink.hidden = [this](int64_t, size_t layer, std::span<const float> rows) {
      hidden[layer].insert(hidden[layer].end(), rows.begin(), rows.end());
    };
  }
  return sink;
}

Figures::Figures(const ModelConfig& config) {
  const auto layers = static_cast<size_t>(config.layers);
  flips.resize(layers);
  load.assign(layers, std::vector<int64_t>(static_cast<size_t>(config.experts)));
  error.resize(layers);
  power.resize(layers);
}

double Figures::perplexity() const { return std::exp(nll / static_cast<double>(tokens)); }

ScoreSink TextScorer::sink() {
  ScoreSink sink;
  sink.logits = [this](int64_t position, std::span<const float> row) { add_logits(position, row); };
  sink.experts = [this](int64_t first, size_t layer, std::span<const int32_t> chosen) {
    add_experts(first, layer, chosen);
  };
  if (against_ != nullptr && against_->keep_hidden) {
    sink.hidden = [this](int64_t first, size_t layer, std::span<const float> rows) { add_hidden(first, layer, rows); };
  }
  return sink;
}

void TextScorer::add_logits(int64_t position, std::span<const float> logits) {
  const auto at = static_cast<size_t>(position);
  if (at + 1 >= tokens_.size()) return;  // nothing follows the last token
  const auto next = static_cast<size_t>(tokens_[at + 1]);
  const double sum = log_sum(logits);
  nll_ += sum - static_cast<double>(logits[next]);
  if (against_ == nullptr) return;
  const std::vector<float>& reference = against_->logits[at];
  const double reference_sum = log_sum(reference);
  figures_.against_nll += reference_sum - static_cast<double>(reference[next]);
  figures_.kl += divergence(reference, reference_sum, logits, sum);
  if (best(reference) == best(logits)) ++figures_.agree;
}

void TextScorer::add_experts(int64_t first, size_t layer, std::span<const int32_t> experts) {
  const auto top_k = static_cast<size_t>(config_.top_k);
  for (const int32_t expert : experts) ++figures_.load[layer][static_cast<size_t>(expert)];
  if (against_ == nullptr || against_->experts[layer].empty()) return;
  for (size_t at = 0; at < experts.size(); at += top_k) {
    const auto* reference = against_->experts[layer].data() + static_cast<size_t>(first) * top_k + at;
    if (!std::equal(reference, reference + top_k, experts.data() + at)) ++figures_.flips[layer];
  }
}

void TextScorer::add_hidden(int64_t first, size_t layer, std::span<const float> hidden) {
  const float* reference = against_->hidden[layer].data() + first * config_.hidden;
  for (size_t i = 0; i < hidden.size(); ++i) {
    const double wanted = static_cast<double>(reference[i]);
    const double off = static_cast<double>(hidden[i]) - wanted;
    figures_.error[layer] += off * off;
    figures_.power[layer] += wanted * wanted;
  }
}

void TextScorer::finish() {
  const auto predicted = static_cast<int64_t>(tokens_.size()) - 1;
  figures_.nll += nll_;
  figures_.tokens += predicted;
  figures_.rows += predicted + 1;
  figures_.text_nll.push_back(nll_ / static_cast<double>(std::max<int64_t>(predicted, 1)));
}

}  // namespace tandem::tool
