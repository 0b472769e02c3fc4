// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tandem/base/half.h"
#include "tandem/llm/generator_state.h"

namespace tandem {
namespace {

// Rows whose logits are held at once: vocabularies are wide.
constexpr int64_t kLogitRows = 16;

template <class T>
void widen(const std::byte* from, std::vector<float>& to) {
  const T* values = reinterpret_cast<const T*>(from);
  for (size_t i = 0; i < to.size(); ++i) to[i] = to_float(values[i]);
}

}  // namespace

// One pass over a text.
class Scoring {
 public:
  Scoring(Generator::State& state, const ScoreSink& sink) : s_(state), sink_(sink) { s_.decoder->observe(probe()); }
  ~Scoring() {
    s_.decoder->observe({});
    s_.cache.release(table_);
  }
  Scoring(const Scoring&) = delete;
  Scoring& operator=(const Scoring&) = delete;

  Status run(std::span<const int32_t> tokens) {
    while (!tokens.empty()) {
      const auto piece = tokens.first(std::min(tokens.size(), static_cast<size_t>(Decoder::kMaxRows)));
      rows_ = static_cast<int64_t>(piece.size());
      if (auto status = s_.cache.reserve(table_, first_ + rows_); !status) return status;
      if (auto status = s_.decoder->prepare(rows_); !status) return status;
      if (auto status = s_.stream->submit([&](Lane& lane) { return forward(piece, lane); }); !status) return status;
      if (auto status = s_.stream->synchronize(); !status) return status;
      first_ += rows_;
      tokens = tokens.subspan(piece.size());
    }
    return {};
  }

 private:
  Probe probe() {
    Probe probe;
    if (sink_.experts) {
      probe.routed = [this](size_t layer, std::span<const int32_t> experts) { sink_.experts(first_, layer, experts); };
    }
    if (sink_.hidden) probe.hidden = [this](size_t layer, const std::byte* rows) { give_hidden(layer, rows); };
    return probe;
  }

  void give_hidden(size_t layer, const std::byte* rows) {
    hidden_.resize(static_cast<size_t>(rows_ * s_.model->config.hidden));
    if (s_.model->dtype == DType::f32) widen<float>(rows, hidden_);
    if (s_.model->dtype == DType::f16) widen<f16>(rows, hidden_);
    if (s_.model->dtype == DType::bf16) widen<bf16>(rows, hidden_);
    sink_.hidden(first_, layer, hidden_);
  }

  Status forward(std::span<const int32_t> tokens, Lane& lane) {
    if (auto status = s_.decoder->run(tokens, first_, table_, lane); !status) return status;
    if (!sink_.logits) return {};
    const auto width = static_cast<size_t>(s_.model->config.vocabulary);
    for (int64_t row = 0; row < rows_; row += kLogitRows) {
      const int64_t count = std::min(kLogitRows, rows_ - row);
      logits_.resize(width * static_cast<size_t>(count));
      s_.decoder->logits(row, count, logits_.data(), lane);
      for (int64_t i = 0; i < count; ++i) {
        sink_.logits(first_ + row + i, std::span(logits_).subspan(width * static_cast<size_t>(i), width));
      }
    }
    return {};
  }

  Generator::State& s_;
  const ScoreSink& sink_;
  std::vector<int32_t> table_;
  int64_t first_ = 0, rows_ = 0;
  std::vector<float> hidden_, logits_;
};

Status Generator::score(std::span<const int32_t> tokens, const ScoreSink& sink) {
  if (auto status = state_->check(tokens); !status) return status;
  return Scoring(*state_, sink).run(tokens);
}

}  // namespace tandem
