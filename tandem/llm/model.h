// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/exec/memory.h"
#include "tandem/kernels/gemm.h"
#include "tandem/llm/config.h"
#include "tandem/llm/shard.h"

#pragma GCC visibility push(default)
namespace tandem {

  // A (k, n) weight in panels.
  struct PackedWeight {
    Weight weight;
    int64_t k = 0, n = 0;
    TensorView view() const { return make_tensor(const_cast<void*>(weight.data), weight.dtype, {k, n}); }
  };

  enum class QuantKind : uint8_t { none, weight_only, int8_static, int8_dynamic };

  // A linear layer, or the part of it that a rank owns. What it adds of its own (int32 bias and zero point of a static
  // layer included) is one f32 row, on rank 0 alone where the ranks' sums are added up.
  struct Linear {
    PackedWeight packed;
    QuantKind kind = QuantKind::none;
    const float* scale = nullptr;   // weight-only: [groups][n]; int8: what an int32 sum is multiplied with, [n]
    const float* offset = nullptr;  // weight-only: added to the integers, [groups][n]; may be absent
    int64_t group = 0;              // rows of k per scale row, 0 = all
    float input_scale = 1;          // int8_static: x / input_scale + input_offset
    float input_offset = 0;
    const float* bias = nullptr;  // [n] or absent

    int64_t groups() const { return group == 0 ? 1 : (packed.k + group - 1) / group; }
  };

  // Columns of one ffn or expert that a rank owns.
  struct FfnWeights {
    std::vector<Linear> gate_up;  // hidden -> gate columns, then up columns
    Linear down;                  // owned columns -> hidden
  };

  struct LayerWeights {
    const void* input_norm = nullptr;
    const void* post_norm = nullptr;
    const void* query_norm = nullptr;  // [head_dim], Qwen3 only
    const void* key_norm = nullptr;
    std::vector<Linear> qkv;  // hidden -> owned query heads, key heads, value heads; side by side
    Linear output;            // owned query heads -> hidden
    bool sparse = false;
    Linear router;                // hidden -> experts, on every rank
    std::vector<FfnWeights> ffn;  // one when dense, one per expert when sparse
  };

  // Memory of packed weights: grows in large blocks, never moves.
  class WeightStore {
   public:
    // 64-byte aligned.
    Expected<std::byte*> take(size_t bytes);
    size_t bytes() const { return total_; }

   private:
    std::vector<Pages> blocks_;
    size_t used_ = 0;
    size_t total_ = 0;
  };

  // What one rank holds of a checkpoint, in the checkpoint's own float type; quantised layers as they are stored.
  struct Model {
    ModelConfig config;
    Shard shard;
    DType dtype = DType::none;
    std::vector<LayerWeights> layers;
    const void* final_norm = nullptr;
    Linear head;                           // hidden -> vocabulary, on every rank
    const std::byte* embedding = nullptr;  // [vocabulary][hidden]; nullptr: rows are read out of `head` (tied)
    WeightStore store;

    static Expected<std::unique_ptr<Model>> load(const std::string& folder, int rank, int size);
    // The token's embedding row.
    void embed(int32_t token, void* to) const;
  };

}  // namespace tandem
#pragma GCC visibility pop
