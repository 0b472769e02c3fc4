// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "tandem/base/json.h"

namespace tandem {
namespace {

constexpr size_t kConfigLimit = 16u << 20;
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxVocabulary = 1 << 22;
// Rope tables reduce angles up to 2^20 exactly.
constexpr int64_t kMaxContext = 1 << 20;

void read_architecture(JsonFields& fields, ModelConfig& config) {
  const nlohmann::json* list = fields.find("architectures");
  if (list == nullptr || !list->is_array() || list->size() != 1 || !list->front().is_string()) {
    return fields.refuse(ErrorCode::malformed, "architectures: a list of one text wanted");
  }
  config.architecture = list->front().get<std::string>();
  if (config.architecture == "LlamaForCausalLM" || config.architecture == "MistralForCausalLM" ||
      config.architecture == "Qwen2ForCausalLM") {
    config.names = TensorNames::llama;
  } else if (config.architecture == "Qwen3ForCausalLM") {
    config.names = TensorNames::llama;
    config.head_norm = true;
  } else if (config.architecture == "MixtralForCausalLM") {
    config.names = TensorNames::mixtral;
  } else if (config.architecture == "Qwen3MoeForCausalLM") {
    config.names = TensorNames::qwen3_moe;
    config.head_norm = true;
  } else {
    fields.refuse(ErrorCode::unsupported,
                  fmt::format("architecture {} given, LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, "
                              "Qwen3ForCausalLM, MixtralForCausalLM or Qwen3MoeForCausalLM wanted",
                              config.architecture));
  }
}

void read_shape(JsonFields& fields, ModelConfig& config) {
  config.hidden = fields.integer("hidden_size", 1, kMaxWidth);
  config.layers = fields.integer("num_hidden_layers", 1, 1024);
  config.heads = fields.integer("num_attention_heads", 1, 4096);
  config.kv_heads = fields.integer("num_key_value_heads", 1, 4096, config.heads);
  const bool explicit_dim = fields.find("head_dim") != nullptr;
  if (!explicit_dim && config.hidden % config.heads != 0) {
    fields.refuse(ErrorCode::malformed, "hidden_size is no multiple of num_attention_heads and head_dim is missing");
  }
  config.head_dim = fields.integer("head_dim", 2, 4096, std::max<int64_t>(config.hidden / config.heads, 2));
  config.vocabulary = fields.integer("vocab_size", 1, kMaxVocabulary);
  config.context = std::min(fields.integer("max_position_embeddings", 1, int64_t{1} << 40), kMaxContext);
  if (fields.failed()) return;
  if (config.heads % config.kv_heads != 0) {
    fields.refuse(ErrorCode::malformed, fmt::format("num_attention_heads {} is no multiple of num_key_value_heads {}",
                                                    config.heads, config.kv_heads));
  }
  if (config.head_dim % 2 != 0) {
    fields.refuse(ErrorCode::unsupported, fmt::format("head_dim {}, an even number wanted", config.head_dim));
  }
}

void read_sparse_layers(JsonFields& fields, ModelConfig& config) {
  config.sparse.assign(static_cast<size_t>(config.layers), config.experts > 0);
  if (config.names != TensorNames::qwen3_moe) return;
  const int64_t step = fields.integer("decoder_sparse_step", 1, 1024, 1);
  const auto dense = fields.integers("mlp_only_layers", 0, config.layers - 1);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const bool listed = std::find(dense.begin(), dense.end(), layer) != dense.end();
    config.sparse[static_cast<size_t>(layer)] = !listed && (layer + 1) % step == 0;
  }
}

void read_ffn(JsonFields& fields, ModelConfig& config) {
  const int64_t width = fields.integer("intermediate_size", 1, kMaxWidth);
  if (config.names == TensorNames::llama) {
    config.dense_ffn = width;
  } else if (config.names == TensorNames::mixtral) {
    config.expert_ffn = width;
    config.experts = fields.integer("num_local_experts", 1, 4096);
  } else {
    config.dense_ffn = width;
    config.expert_ffn = fields.integer("moe_intermediate_size", 1, kMaxWidth);
    config.experts = fields.integer("num_experts", 1, 4096);
    config.normalise_top_k = fields.boolean("norm_topk_prob", false);
  }
  if (config.experts > 0) config.top_k = fields.integer("num_experts_per_tok", 1, config.experts);
  if (!fields.failed()) read_sparse_layers(fields, config);
}

void read_rope(JsonFields& fields, ModelConfig& config, const std::string& what) {
  config.rope_theta = fields.number("rope_theta", 1.0, 1e12, 10000.0);
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const nlohmann::json* member = fields.find(name);
    if (member == nullptr) continue;
    JsonFields rope(*member, what + ": " + name);
    const std::string kind = rope.text("rope_type", rope.text("type", "default"));
    config.rope_theta = rope.number("rope_theta", 1.0, 1e12, config.rope_theta);
    if (kind != "default") {
      rope.refuse(ErrorCode::unsupported, fmt::format("rope_type {} given, default wanted", kind));
    }
    if (auto status = rope.status(); !status) fields.refuse(status.error().code, status.error().message);
  }
}

// Parts of the families that would change the result and are not built.
void refuse_unsupported(JsonFields& fields, ModelConfig& config) {
  for (const char* name : {"attention_bias", "mlp_bias"}) fields.boolean(name, false);  // read where they are stored
  const std::string activation = fields.text("hidden_act", "silu");
  if (activation != "silu") {
    fields.refuse(ErrorCode::unsupported, fmt::format("hidden_act {} given, silu wanted", activation));
  }
  const int64_t window = fields.integer("sliding_window", 0, INT64_MAX, 0);
  const bool used = fields.boolean("use_sliding_window",
                                   config.names == TensorNames::mixtral || config.architecture == "MistralForCausalLM");
  if (used && window > 0 && config.architecture == "MistralForCausalLM") {
    config.context = std::min(config.context, window);  // up to there a window changes nothing
  } else if (used && window > 0 && window < config.context) {
    fields.refuse(ErrorCode::unsupported, fmt::format("sliding_window {} given, none wanted", window));
  }
  if (fields.find("quantization_config") != nullptr) {
    fields.refuse(ErrorCode::unsupported, "quantization_config given, float weights wanted");
  }
}

void read_tokens(JsonFields& fields, ModelConfig& config) {
  const auto bos = fields.integers("bos_token_id", 0, config.vocabulary - 1);
  if (!bos.empty()) config.bos = bos.front();
  config.eos = fields.integers("eos_token_id", 0, config.vocabulary - 1);
}

Status add_generation_config(const std::string& path, ModelConfig& config) {
  if (::access(path.c_str(), F_OK) != 0) return {};
  const auto json = read_json(path, kConfigLimit);
  if (!json) return fail(json.error());
  JsonFields fields(*json, path);
  for (const int64_t token : fields.integers("eos_token_id", 0, config.vocabulary - 1)) {
    if (!config.is_eos(token)) config.eos.push_back(token);
  }
  return fields.status();
}

}  // namespace

bool ModelConfig::is_eos(int64_t token) const { return std::find(eos.begin(), eos.end(), token) != eos.end(); }

Expected<ModelConfig> parse_config(const nlohmann::json& json, const std::string& what) {
  JsonFields fields(json, what);
  ModelConfig config;
  if (!fields.failed()) read_architecture(fields, config);
  if (!fields.failed()) read_shape(fields, config);
  if (!fields.failed()) read_ffn(fields, config);
  if (!fields.failed()) read_rope(fields, config, what);
  if (!fields.failed()) refuse_unsupported(fields, config);
  if (!fields.failed()) read_tokens(fields, config);
  config.norm_epsilon = fields.number("rms_norm_eps", 1e-20, 0.5, 1e-6);
  config.tied_embeddings = fields.boolean("tie_word_embeddings", false);
  if (auto status = fields.status(); !status) return fail(status.error());
  return config;
}

Expected<ModelConfig> load_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  const auto json = read_json(path, kConfigLimit);
  if (!json) return fail(json.error());
  auto config = parse_config(*json, path);
  if (!config) return config;
  if (auto status = add_generation_config(folder + "/generation_config.json", *config); !status) {
    return fail(status.error());
  }
  return config;
}

}  // namespace tandem
