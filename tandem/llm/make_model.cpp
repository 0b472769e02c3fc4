// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/make_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "tandem/base/json.h"
#include "tandem/llm/config.h"
#include "tandem/llm/floats.h"
#include "tandem/llm/safetensors_write.h"

namespace tandem {
namespace {

using nlohmann::ordered_json;

constexpr size_t kTokenizerLimit = size_t{256} << 20;
constexpr int64_t kChunk = 1 << 20;  // values that are made at once

struct Shape {
  const char* name;
  const char* architecture;
  int64_t hidden, ffn, layers, heads, kv_heads, head_dim, vocabulary;
  bool tied;
  double theta;
  int64_t experts, top_k;
};
constexpr std::array kShapes = {
    Shape{"tiny", "LlamaForCausalLM", 64, 176, 2, 8, 4, 8, 512, true, 10000, 0, 0},
    Shape{"tiny-moe", "MixtralForCausalLM", 64, 112, 2, 8, 4, 8, 512, true, 10000, 4, 2},
    Shape{"llama-3.2-1b", "LlamaForCausalLM", 2048, 8192, 16, 32, 8, 64, 128256, true, 500000, 0, 0},
    Shape{"llama-3.2-3b", "LlamaForCausalLM", 3072, 8192, 28, 24, 8, 128, 128256, true, 500000, 0, 0},
    Shape{"llama-3.1-8b", "LlamaForCausalLM", 4096, 14336, 32, 32, 8, 128, 128256, false, 500000, 0, 0},
    Shape{"mistral-7b", "MistralForCausalLM", 4096, 14336, 32, 32, 8, 128, 32768, false, 1000000, 0, 0},
    Shape{"qwen2.5-7b", "Qwen2ForCausalLM", 3584, 18944, 28, 28, 4, 128, 152064, false, 1000000, 0, 0},
    Shape{"qwen3-0.6b", "Qwen3ForCausalLM", 1024, 3072, 28, 16, 8, 128, 151936, true, 1000000, 0, 0},
    Shape{"qwen3-8b", "Qwen3ForCausalLM", 4096, 12288, 36, 32, 8, 128, 151936, false, 1000000, 0, 0},
    Shape{"qwen3-30b-a3b", "Qwen3MoeForCausalLM", 2048, 768, 48, 32, 4, 128, 151936, false, 1000000, 128, 8},
    Shape{"mixtral-8x7b", "MixtralForCausalLM", 4096, 14336, 32, 32, 8, 128, 32000, false, 1000000, 8, 2}};

ordered_json config_of(const Shape& shape, const MakeModelOptions& options) {
  ordered_json json{{"architectures", {shape.architecture}},
                    {"hidden_size", shape.hidden},
                    {"intermediate_size", shape.ffn},
                    {"num_hidden_layers", options.layers > 0 ? options.layers : shape.layers},
                    {"num_attention_heads", shape.heads},
                    {"num_key_value_heads", shape.kv_heads},
                    {"head_dim", shape.head_dim},
                    {"vocab_size", shape.vocabulary},
                    {"max_position_embeddings", 4096},
                    {"rms_norm_eps", 1e-5},
                    {"rope_theta", shape.theta},
                    {"hidden_act", "silu"},
                    {"tie_word_embeddings", shape.tied},
                    {"bos_token_id", 1},
                    {"eos_token_id", 2},
                    {"torch_dtype", options.dtype == DType::bf16  ? "bfloat16"
                                    : options.dtype == DType::f16 ? "float16"
                                                                  : "float32"}};
  if (shape.experts == 0) return json;
  json["num_local_experts"] = json["num_experts"] = shape.experts;
  json["num_experts_per_tok"] = shape.top_k;
  json["moe_intermediate_size"] = shape.ffn;
  json["norm_topk_prob"] = true;
  return json;
}

std::vector<TensorPlan> tensors_of(const ModelConfig& c, DType dtype) {
  std::vector<TensorPlan> plans;
  const auto matrix = [&](const std::string& name, int64_t out, int64_t in) {
    plans.push_back({name + ".weight", dtype, {out, in}});
  };
  const auto vector = [&](const std::string& name, int64_t size) { plans.push_back({name, dtype, {size}}); };
  matrix("model.embed_tokens", c.vocabulary, c.hidden);
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string base = fmt::format("model.layers.{}.", layer), attention = base + "self_attn.";
    const bool mixtral = c.names == TensorNames::mixtral;
    const std::string moe = base + (mixtral ? "block_sparse_moe." : "mlp.");
    vector(base + "input_layernorm.weight", c.hidden);
    vector(base + "post_attention_layernorm.weight", c.hidden);
    if (c.head_norm) vector(attention + "q_norm.weight", c.head_dim);
    if (c.head_norm) vector(attention + "k_norm.weight", c.head_dim);
    matrix(attention + "q_proj", c.heads * c.head_dim, c.hidden);
    matrix(attention + "k_proj", c.kv_heads * c.head_dim, c.hidden);
    matrix(attention + "v_proj", c.kv_heads * c.head_dim, c.hidden);
    if (c.architecture == "Qwen2ForCausalLM") {
      vector(attention + "q_proj.bias", c.heads * c.head_dim);
      vector(attention + "k_proj.bias", c.kv_heads * c.head_dim);
      vector(attention + "v_proj.bias", c.kv_heads * c.head_dim);
    }
    matrix(attention + "o_proj", c.hidden, c.heads * c.head_dim);
    const bool sparse = c.sparse[static_cast<size_t>(layer)];
    if (sparse) matrix(moe + "gate", c.experts, c.hidden);
    for (int64_t expert = 0; expert < (sparse ? c.experts : 1); ++expert) {
      const std::string ffn = sparse ? fmt::format("{}experts.{}.", moe, expert) : moe;
      const int64_t width = sparse ? c.expert_ffn : c.dense_ffn;
      matrix(ffn + (mixtral ? "w1" : "gate_proj"), width, c.hidden);
      matrix(ffn + (mixtral ? "w3" : "up_proj"), width, c.hidden);
      matrix(ffn + (mixtral ? "w2" : "down_proj"), c.hidden, width);
    }
  }
  vector("model.norm.weight", c.hidden);
  if (!c.tied_embeddings) matrix("lm_head", c.vocabulary, c.hidden);
  return plans;
}

uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// Norms are ones, biases small, weights even over +-sqrt(3 / k).
Status write_tensor(const TensorPlan& plan, uint64_t stream, SafetensorsWriter& to) {
  int64_t count = 1;
  for (const int64_t extent : plan.shape) count *= extent;
  const bool norm = plan.name.ends_with("norm.weight");
  const auto depth = static_cast<float>(plan.shape.size() == 2 ? plan.shape.back() : 10000);
  const float reach = std::sqrt(3.0f / depth);
  std::vector<std::byte> chunk;
  for (int64_t first = 0; first < count; first += kChunk) {
    const int64_t size = std::min(kChunk, count - first);
    chunk.resize(dtype_bytes(plan.dtype, size));
    for (int64_t i = 0; i < size; ++i) {
      const uint64_t bits = mixed(stream + static_cast<uint64_t>(first + i)) >> 40;
      const float even = static_cast<float>(bits) * 0x1p-23f - 1.0f;
      store_float_at(chunk.data(), plan.dtype, static_cast<size_t>(i), norm ? 1.0f : even * reach);
    }
    if (auto status = to.write(chunk); !status) return status;
  }
  return {};
}

// Bytes and three special tokens.
std::string byte_tokenizer() {
  ordered_json vocabulary{{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  ordered_json added = ordered_json::array();
  for (const char* text : {"<unk>", "<s>", "</s>"}) {
    added.push_back({{"id", vocabulary[text]}, {"content", text}, {"special", true}});
  }
  return ordered_json{
      {"model",
       {{"type", "BPE"}, {"unk_token", "<unk>"}, {"byte_fallback", true}, {"vocab", vocabulary}, {"merges", ordered_json::array()}}},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteFallback"}}}}
      .dump();
}

}  // namespace

std::string model_shapes() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Status make_model(const MakeModelOptions& options) {
  const auto named = [&](const Shape& shape) { return options.shape == shape.name; };
  const auto shape = std::find_if(kShapes.begin(), kShapes.end(), named);
  if (shape == kShapes.end()) {
    return fail(ErrorCode::invalid_argument, fmt::format("--shape {}, one of {} wanted", options.shape, model_shapes()));
  }
  const ordered_json json = config_of(*shape, options);
  const auto config = parse_config(nlohmann::json(json), "config.json");
  if (!config) return fail(config.error());
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) return fail(ErrorCode::io, fmt::format("{}: {}", options.out, error.message()));
  std::string tokenizer = byte_tokenizer();
  if (!options.tokenizer.empty()) {
    auto text = read_file(options.tokenizer, kTokenizerLimit);
    if (!text) return fail(text.error());
    tokenizer = std::move(*text);
  }
  const auto plans = tensors_of(*config, options.dtype);
  auto writer = SafetensorsWriter::create(options.out + "/model.safetensors", plans);
  if (!writer) return fail(writer.error());
  for (size_t i = 0; i < plans.size(); ++i) {
    if (auto status = write_tensor(plans[i], mixed(options.seed) + (uint64_t{i} << 40), *writer); !status) return status;
  }
  auto status = writer->finish();
  if (status) status = write_file(options.out + "/tokenizer.json", tokenizer);
  return status ? write_file(options.out + "/config.json", json.dump(2)) : status;
}

}  // namespace tandem
