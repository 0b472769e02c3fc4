// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tandem/exec/lane.h"
#include "tandem/exec/memory.h"
#include "tandem/llm/kv_cache.h"
#include "tandem/llm/model.h"
#include "tandem/llm/rope_table.h"
#include "tandem/ops/plan.h"

namespace tandem {

class Device;
struct MmAllReduce;
struct KernelTable;

// Looks at what a step computed, on the stream's worker; members may be empty.
struct Probe {
  std::function<void(size_t layer, std::span<const int32_t> experts)> routed;  // rows x top_k, rising in a row
  std::function<void(size_t layer, const std::byte* rows)> hidden;             // after the layer, in the model's type
};

// The decoder of one rank: embedding, blocks, final norm, logits. Activations stay in buffers of fixed place, so the
// plans of a row count are made once.
class Decoder {
 public:
  // Rows of one step.
  static constexpr int64_t kMaxRows = 128;

  Decoder(const Model& model, KvCache& cache, const RopeTable& rope, Device& device, std::string group);
  Status allocate();
  // Makes the plans of a step of `rows` rows.
  Status prepare(int64_t rows);
  // One step on a stream's worker: `tokens` stand at positions first, first + 1, .. of the sequence of `table`, whose
  // blocks are reserved and rows prepared.
  Status run(std::span<const int32_t> tokens, int64_t first, std::span<const int32_t> table, Lane& lane);
  // Logits after rows [first, first + rows) of the last step: one f32 per entry of the vocabulary each.
  void logits(int64_t first, int64_t rows, float* to, Lane& lane) const;
  // What looks on from the next step on.
  void observe(Probe probe) { probe_ = std::move(probe); }
  size_t bytes() const { return memory_.bytes(); }

 private:
  struct LayerPlans {
    Plan attention, ffn;
  };
  // A matrix of activations.
  struct Rows {
    std::byte* data = nullptr;
    int64_t row_bytes = 0;
    std::byte* at(int64_t row) const { return data + row * row_bytes; }
  };

  // Rows of activations with room for them as integers.
  struct Rounded {
    Rows integers, token;
  };
  // What a linear layer multiplies: floats, or integers with a scale for each row.
  struct Operand {
    Rows rows;
    DType dtype = DType::none;
    const float* token = nullptr;
  };
  // Where a product goes: rows at y, or y_rows; x_rows pick rows of the operand where they are given.
  struct Target {
    std::byte* y = nullptr;
    int64_t row_bytes = 0;
    DType dtype = DType::none;
    const void* const* x_rows = nullptr;
    void* const* y_rows = nullptr;
    const float* token = nullptr;  // of the picked rows
  };

  Status take(Rows& rows, int64_t columns, DType dtype, int64_t per_row = 1);
  Status take(Rounded& rounded, int64_t columns, bool wanted, int64_t per_row = 1);
  Status allocate_rounded(int64_t columns, int64_t choices);
  Expected<Plan> plan_tail(MmAllReduce op, const void* gamma, int64_t rows);
  Expected<Plan> plan_dense(const Linear& linear, const Rows& x, const Rounded& rounded, const void* gamma,
                            int64_t rows);
  Expected<Plan> plan_attention(const LayerWeights& layer, int64_t rows);
  Expected<Plan> plan_ffn(size_t layer, int64_t rows);
  Operand operand(const Linear& linear, const Rows& x, Rounded& room, int64_t rows, Lane& lane);
  void multiply(const Linear& linear, const Operand& x, int64_t rows, const Target& target, Lane& lane) const;
  void project_qkv(const LayerWeights& layer, int64_t rows, Lane& lane);
  void normalise_heads(const LayerWeights& layer, int64_t rows, Lane& lane);
  void store_keys_and_values(size_t layer, int64_t rows);
  void attend(size_t layer, int64_t rows, Lane& lane);
  void route(const LayerWeights& layer, int64_t rows, Lane& lane);
  void expand(const LayerWeights& layer, int64_t rows, Lane& lane);
  void expand_expert(const FfnWeights& ffn, int32_t expert, int64_t rows, Lane& lane);
  void embed(std::span<const int32_t> tokens, Lane& lane);

  const Model& model_;
  const ModelConfig& c_;
  KvCache& cache_;
  const RopeTable& rope_;
  Device& device_;
  const std::string group_;
  const KernelTable& kernels_;
  const int64_t element_, query_columns_, kv_columns_;

  WeightStore memory_;
  Rows hidden_, norm_, qkv_, heads_, attention_, gate_up_, inner_, router_, expert_, weight_;
  Rounded norm_rounded_, attention_rounded_, inner_rounded_;
  Rows wide_;  // products before their bias
  std::byte *query_ = nullptr, *key_ = nullptr;  // what attention reads: in qkv_, or in heads_ after the head norms
  int64_t query_row_bytes_ = 0;
  std::map<int64_t, std::vector<LayerPlans>> plans_;
  Probe probe_;
  std::vector<std::byte> workspace_;

  // Of the step under way.
  std::span<const int32_t> table_;
  std::vector<int64_t> positions_, lengths_;
  std::vector<const int32_t*> tables_;
  std::vector<const void*> x_rows_;
  std::vector<void*> y_rows_;
  std::vector<float> tokens_;
};

}  // namespace tandem
