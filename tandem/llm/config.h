// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

  // Names of a decoder block's tensors differ between families.
  enum class TensorNames : uint8_t { llama, mixtral, qwen3_moe };

  // What config.json says about a decoder-only model, checked and bounded.
  struct ModelConfig {
    std::string architecture;
    TensorNames names = TensorNames::llama;
    int64_t hidden = 0;
    int64_t layers = 0;
    int64_t heads = 0;
    int64_t kv_heads = 0;
    int64_t head_dim = 0;
    int64_t vocabulary = 0;
    int64_t context = 0;
    int64_t dense_ffn = 0;   // columns of a dense layer's ffn
    int64_t expert_ffn = 0;  // columns of one expert
    int64_t experts = 0;     // 0: every layer is dense
    int64_t top_k = 0;
    bool normalise_top_k = true;
    std::vector<bool> sparse;  // per layer: experts instead of the dense ffn
    double norm_epsilon = 1e-5;
    double rope_theta = 10000;
    bool head_norm = false;  // query and key norm per head (Qwen3)
    bool tied_embeddings = false;
    int64_t bos = -1;  // -1: none
    std::vector<int64_t> eos;

    bool is_eos(int64_t token) const;
  };

  Expected<ModelConfig> parse_config(const nlohmann::json& json, const std::string& what);
  // config.json of `folder`, and the end tokens of generation_config.json where that exists.
  Expected<ModelConfig> load_config(const std::string& folder);

}  // namespace tandem
#pragma GCC visibility pop
