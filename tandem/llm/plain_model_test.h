// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/base/half.h"
#include "tandem/llm/random.h"

namespace tandem {

// A small random Qwen3-MoE checkpoint and its forward pass by plain loops in double: no cache, no ranks, no rounding
// but that of the stored weights. Layer 0 is dense, layer 1 has experts; heads are wider than hidden / heads.
class PlainModel {
 public:
  static constexpr int64_t kHidden = 24, kHeads = 6, kKv = 2, kDim = 8, kFfn = 20, kExpertFfn = 12, kExperts = 5,
                           kTopK = 2, kVocabulary = 40, kLayers = 2;
  using Vector = std::vector<double>;

  explicit PlainModel(const std::string& dtype) : dtype_(dtype) {
    add("model.embed_tokens.weight", {kVocabulary, kHidden});
    add("lm_head.weight", {kVocabulary, kHidden});
    add("model.norm.weight", {kHidden});
    for (int64_t layer = 0; layer < kLayers; ++layer)
      add_layer("model.layers." + std::to_string(layer) + ".", layer == 1);
  }

  void save(const std::filesystem::path& folder) const {
    const nlohmann::json config = {{"architectures", {"Qwen3MoeForCausalLM"}},
                                   {"hidden_size", kHidden},
                                   {"intermediate_size", kFfn},
                                   {"moe_intermediate_size", kExpertFfn},
                                   {"num_hidden_layers", kLayers},
                                   {"num_attention_heads", kHeads},
                                   {"num_key_value_heads", kKv},
                                   {"head_dim", kDim},
                                   {"num_experts", kExperts},
                                   {"num_experts_per_tok", kTopK},
                                   {"norm_topk_prob", true},
                                   {"mlp_only_layers", {0}},
                                   {"decoder_sparse_step", 1},
                                   {"vocab_size", kVocabulary},
                                   {"max_position_embeddings", 300},
                                   {"rms_norm_eps", 1e-5},
                                   {"rope_theta", 1000.0},
                                   {"tie_word_embeddings", false},
                                   {"bos_token_id", 1},
                                   {"eos_token_id", 2}};
    std::ofstream(folder / "config.json") << config.dump();
    nlohmann::json header;
    std::string data;
    for (const auto& [name, tensor] : tensors_) {
      const size_t begin = data.size();
      for (const double value : tensor.values) append(data, value);
      header[name] = {{"dtype", dtype_}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
    }
    const std::string text = header.dump();
    std::string prefix(8, '\0');
    for (size_t i = 0; i < 8; ++i) prefix[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
    std::ofstream(folder / "model.safetensors", std::ios::binary) << prefix << text << data;
  }

  // Logits after each token.
  std::vector<Vector> forward(const std::vector<int32_t>& tokens) const {
    std::vector<Vector> rows;
    for (const int32_t token : tokens) {
      const Vector& table = values("model.embed_tokens.weight");
      rows.emplace_back(table.begin() + token * kHidden, table.begin() + (token + 1) * kHidden);
    }
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      attention(prefix, rows);
      for (Vector& row : rows) {
        const Vector x = norm(row, prefix + "post_attention_layernorm.weight");
        add_to(row, layer == 1 ? experts(prefix + "mlp.", x) : ffn(prefix + "mlp.", x));
      }
    }
    std::vector<Vector> logits;
    for (const Vector& row : rows) logits.push_back(product("lm_head.weight", norm(row, "model.norm.weight")));
    return logits;
  }

 private:
  struct Tensor {
    std::vector<int64_t> shape;
    Vector values;
  };

  double stored(double value) const {
    const auto f = static_cast<float>(value);
    if (dtype_ == "F16") return static_cast<double>(to_float(to_f16(f)));
    return dtype_ == "BF16" ? static_cast<double>(to_float(to_bf16(f))) : static_cast<double>(f);
  }
  void append(std::string& data, double value) const {
    const auto f = static_cast<float>(value);
    const uint32_t bits = dtype_ == "F16" ? to_f16(f).bits : dtype_ == "BF16" ? to_bf16(f).bits : float_bits(f);
    for (int i = 0; i < (dtype_ == "F32" ? 4 : 2); ++i) data += static_cast<char>(bits >> (8 * i) & 0xff);
  }
  void add(const std::string& name, std::vector<int64_t> shape) {
    int64_t count = 1;
    for (const int64_t extent : shape) count *= extent;
    const bool gamma = shape.size() == 1;
    const double spread = gamma ? 0.5 : 2.0 / std::sqrt(static_cast<double>(shape.back()));
    Tensor tensor{std::move(shape), {}};
    for (int64_t i = 0; i < count; ++i) {
      tensor.values.push_back(stored((gamma ? 0.75 : -spread / 2) + spread * random_.uniform()));
    }
    tensors_.emplace(name, std::move(tensor));
  }
  void add_ffn(const std::string& prefix, int64_t width) {
    add(prefix + "gate_proj.weight", {width, kHidden});
    add(prefix + "up_proj.weight", {width, kHidden});
    add(prefix + "down_proj.weight", {kHidden, width});
  }
  void add_layer(const std::string& prefix, bool sparse) {
    add(prefix + "input_layernorm.weight", {kHidden});
    add(prefix + "post_attention_layernorm.weight", {kHidden});
    add(prefix + "self_attn.q_norm.weight", {kDim});
    add(prefix + "self_attn.k_norm.weight", {kDim});
    add(prefix + "self_attn.q_proj.weight", {kHeads * kDim, kHidden});
    add(prefix + "self_attn.k_proj.weight", {kKv * kDim, kHidden});
    add(prefix + "self_attn.v_proj.weight", {kKv * kDim, kHidden});
    add(prefix + "self_attn.o_proj.weight", {kHidden, kHeads * kDim});
    if (!sparse) return add_ffn(prefix + "mlp.", kFfn);
    add(prefix + "mlp.gate.weight", {kExperts, kHidden});
    for (int64_t e = 0; e < kExperts; ++e) add_ffn(prefix + "mlp.experts." + std::to_string(e) + ".", kExpertFfn);
  }

  const Vector& values(const std::string& name) const { return tensors_.at(name).values; }
  static void add_to(Vector& row, const Vector& other) {
    for (size_t i = 0; i < row.size(); ++i) row[i] += other[i];
  }
  Vector product(const std::string& name, const Vector& x) const {
    const Vector& w = values(name);
    Vector y(w.size() / x.size());
    for (size_t i = 0; i < w.size(); ++i) y[i / x.size()] += w[i] * x[i % x.size()];
    return y;
  }
  Vector norm(const Vector& x, const std::string& gamma) const {
    double sum = 0;
    for (const double v : x) sum += v * v;
    Vector y;
    for (size_t i = 0; i < x.size(); ++i) {
      y.push_back(x[i] * values(gamma)[i] / std::sqrt(sum / static_cast<double>(x.size()) + 1e-5));
    }
    return y;
  }
  Vector ffn(const std::string& prefix, const Vector& x) const {
    Vector gate = product(prefix + "gate_proj.weight", x);
    const Vector up = product(prefix + "up_proj.weight", x);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    return product(prefix + "down_proj.weight", gate);
  }
  Vector experts(const std::string& prefix, const Vector& x) const {
    const Vector logits = product(prefix + "gate.weight", x);
    std::multimap<double, size_t, std::greater<>> order;
    for (size_t e = 0; e < logits.size(); ++e) order.emplace(logits[e], e);
    auto best = order.begin();
    const auto second = std::next(best);
    const double weight = 1 / (1 + std::exp(second->first - best->first));
    Vector y(x.size());
    for (const auto& [share, e] : {std::pair(weight, best->second), std::pair(1 - weight, second->second)}) {
      const Vector part = ffn(prefix + "experts." + std::to_string(e) + ".", x);
      for (size_t i = 0; i < y.size(); ++i) y[i] += share * part[i];
    }
    return y;
  }
  // One head of a projection at a position: head norm, then rotation of the two halves.
  Vector head(const Vector& all, int64_t index, const std::string& gamma, size_t position) const {
    Vector x = norm(Vector(all.begin() + index * kDim, all.begin() + (index + 1) * kDim), gamma);
    for (size_t i = 0; i < kDim / 2; ++i) {
      const double angle = static_cast<double>(position) * std::pow(1000.0, -2.0 * static_cast<double>(i) / kDim);
      const double a = x[i], b = x[i + kDim / 2];
      x[i] = a * std::cos(angle) - b * std::sin(angle);
      x[i + kDim / 2] = b * std::cos(angle) + a * std::sin(angle);
    }
    return x;
  }
  void attention(const std::string& prefix, std::vector<Vector>& rows) const {
    const std::string self = prefix + "self_attn.";
    std::vector<Vector> q, k, v;
    for (const Vector& row : rows) {
      const Vector x = norm(row, prefix + "input_layernorm.weight");
      q.push_back(product(self + "q_proj.weight", x));
      k.push_back(product(self + "k_proj.weight", x));
      v.push_back(product(self + "v_proj.weight", x));
    }
    for (size_t at = 0; at < rows.size(); ++at) {
      Vector mixed;
      for (int64_t h = 0; h < kHeads; ++h) {
        const int64_t kv = h / (kHeads / kKv);
        const Vector query = head(q[at], h, self + "q_norm.weight", at);
        Vector sum(kDim);
        double total = 0;
        for (size_t t = 0; t <= at; ++t) {
          const Vector key = head(k[t], kv, self + "k_norm.weight", t);
          double score = 0;
          for (size_t i = 0; i < kDim; ++i) score += query[i] * key[i];
          const double p = std::exp(score / std::sqrt(static_cast<double>(kDim)));
          total += p;
          for (size_t i = 0; i < kDim; ++i) sum[i] += p * v[t][static_cast<size_t>(kv * kDim) + i];
        }
        for (const double value : sum) mixed.push_back(value / total);
      }
      add_to(rows[at], product(self + "o_proj.weight", mixed));
    }
  }

  std::string dtype_;
  Random random_{11};
  std::map<std::string, Tensor> tensors_;
};

}  // namespace tandem
