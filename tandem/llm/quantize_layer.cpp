// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/quantize_layer.h"

#include <fmt/format.h>

#include <algorithm>

namespace tandem {
namespace {

void add_to(Matrix& sum, const Matrix& x) {
  for (size_t i = 0; i < sum.data.size(); ++i) sum.data[i] += x.data[i];
}

// Scales of the inputs of o_proj, one for the query heads that share a value head: their mean, or for m6 their most.
std::vector<float> share_heads(const std::vector<float>& s, const ModelConfig& c, bool most) {
  const int64_t group = c.heads / c.kv_heads;
  std::vector<float> shared(static_cast<size_t>(c.kv_heads * c.head_dim));
  for (int64_t kv = 0; kv < c.kv_heads; ++kv) {
    for (int64_t d = 0; d < c.head_dim; ++d) {
      float total = 0;
      for (int64_t head = kv * group; head < (kv + 1) * group; ++head) {
        const float value = s[static_cast<size_t>(head * c.head_dim + d)];
        total = most ? std::max(total, value) : total + value;
      }
      shared[static_cast<size_t>(kv * c.head_dim + d)] = most ? total : total / static_cast<float>(group);
    }
  }
  return shared;
}

std::vector<float> repeat_heads(const std::vector<float>& shared, const ModelConfig& c) {
  std::vector<float> s;
  const int64_t group = c.heads / c.kv_heads;
  for (int64_t head = 0; head < c.heads; ++head) {
    const auto from = shared.begin() + head / group * c.head_dim;
    s.insert(s.end(), from, from + c.head_dim);
  }
  return s;
}

void divide(std::vector<float>& values, const std::vector<float>& by) {
  for (size_t i = 0; i < values.size(); ++i) values[i] /= by[i];
}

struct FfnNames {
  std::string gate, up, down;
};

class LayerQuantizer {
 public:
  LayerQuantizer(const Checkpoint& checkpoint, const ModelConfig& config, const Recipe& recipe, int64_t index,
                 const LayerMath& math, const TextStarts& starts, QuantizedLayer& to)
      : checkpoint_(checkpoint),
        c_(config),
        recipe_(recipe),
        math_(math),
        starts_(starts),
        prefix_(fmt::format("model.layers.{}.", index)),
        sparse_(config.sparse[static_cast<size_t>(index)]),
        dtype_(stored_dtype()),
        out_(recipe, dtype_, math, to) {}

  Status run(Matrix& hidden) {
    if (auto status = attention(hidden); !status) return status;
    auto gamma = checkpoint_.read_floats(prefix_ + "post_attention_layernorm.weight", c_.hidden);
    if (!gamma) return fail(gamma.error());
    Matrix x = math_.norm(hidden, *gamma);
    const auto scale = sparse_ ? experts(x, hidden) : dense(x, hidden);
    if (!scale) return fail(scale.error());
    if (!scale->empty()) divide(*gamma, *scale);
    add_norm("post_attention_layernorm", *gamma);
    return {};
  }

 private:
  bool smooths() const { return recipe_.smoothing != Smoothing::none; }

  DType stored_dtype() const {
    const StoredTensor* tensor = checkpoint_.find(prefix_ + "input_layernorm.weight");
    return tensor == nullptr ? DType::f32 : tensor->dtype;
  }

  Status read(const std::string& name, int64_t out, int64_t in, FloatLinear& linear) {
    linear.name = name;
    if (const auto tensor = checkpoint_.require(name + ".weight", {out, in}); !tensor) return fail(tensor.error());
    auto values = checkpoint_.read_floats(name + ".weight", out * in);
    if (!values) return fail(values.error());
    linear.weight.rows = out;
    linear.weight.columns = in;
    linear.weight.data = std::move(*values);
    if (checkpoint_.find(name + ".bias") == nullptr) return {};
    auto bias = checkpoint_.read_floats(name + ".bias", out);
    if (!bias) return fail(bias.error());
    linear.bias = std::move(*bias);
    return {};
  }

  void add_norm(const std::string& name, const std::vector<float>& gamma) {
    out_.add_float(prefix_ + name + ".weight", {static_cast<int64_t>(gamma.size())}, gamma, dtype_);
  }

  // Weights and input of layers behind a norm, scaled; gives what the norm is divided by.
  std::vector<float> smooth_norm(Matrix& x, const std::vector<FloatLinear*>& linears,
                                 std::span<const float> peaks = {}) {
    if (!smooths()) return {};
    std::vector<const Matrix*> weights;
    for (const FloatLinear* linear : linears) weights.push_back(&linear->weight);
    auto s = smooth_scales(recipe_.smoothing, x, weights, peaks, recipe_.form, math_);
    scale_columns(x, s, true);
    for (FloatLinear* linear : linears) scale_columns(linear->weight, s, false);
    return s;
  }

  Expected<Matrix> head_norm(const Matrix& x, const std::string& name, int64_t heads) {
    if (!c_.head_norm) return x;
    const auto gamma = checkpoint_.read_floats(prefix_ + name + ".weight", c_.head_dim);
    if (!gamma) return fail(gamma.error());
    add_norm(name, *gamma);
    return math_.norm(x, *gamma, heads);
  }

  Status attention(Matrix& hidden) {
    const std::string base = prefix_ + "self_attn.";
    FloatLinear q, k, v, o;
    auto status = read(base + "q_proj", c_.heads * c_.head_dim, c_.hidden, q);
    if (status) status = read(base + "k_proj", c_.kv_heads * c_.head_dim, c_.hidden, k);
    if (status) status = read(base + "v_proj", c_.kv_heads * c_.head_dim, c_.hidden, v);
    if (status) status = read(base + "o_proj", c_.hidden, c_.heads * c_.head_dim, o);
    if (!status) return status;
    auto gamma = checkpoint_.read_floats(prefix_ + "input_layernorm.weight", c_.hidden);
    if (!gamma) return fail(gamma.error());
    Matrix x = math_.norm(hidden, *gamma);
    auto query = head_norm(math_.multiply(x, q.weight, q.bias), "self_attn.q_norm", c_.heads);
    if (!query) return fail(query.error());
    auto key = head_norm(math_.multiply(x, k.weight, k.bias), "self_attn.k_norm", c_.kv_heads);
    if (!key) return fail(key.error());
    Matrix heads = math_.attend(std::move(*query), std::move(*key), math_.multiply(x, v.weight, v.bias), starts_);
    add_to(hidden, math_.multiply(heads, o.weight, o.bias));
    if (smooths_inner(recipe_.smoothing)) smooth_values(heads, v, o);
    if (const auto s = smooth_norm(x, {&q, &k, &v}); !s.empty()) divide(*gamma, s);
    add_norm("input_layernorm", *gamma);
    status = out_.add(recipe_.attention, x, {&q, &k, &v});
    return status ? out_.add(recipe_.attention, heads, {&o}) : status;
  }

  void smooth_values(Matrix& heads, FloatLinear& v, FloatLinear& o) {
    const auto s = smooth_scales(recipe_.smoothing, heads, {&o.weight}, {}, recipe_.form, math_);
    const auto shared = share_heads(s, c_, recipe_.smoothing == Smoothing::m6);
    const auto repeated = repeat_heads(shared, c_);
    divide_rows(v.weight, shared);
    if (!v.bias.empty()) divide(v.bias, shared);
    scale_columns(o.weight, repeated, false);
    scale_columns(heads, repeated, true);
  }

  Status read_ffn(const FfnNames& names, int64_t width, FloatLinear& gate, FloatLinear& up, FloatLinear& down) {
    auto status = read(names.gate, width, c_.hidden, gate);
    if (status) status = read(names.up, width, c_.hidden, up);
    return status ? read(names.down, c_.hidden, width, down) : status;
  }

  // Gives what the ffn adds for rows x; scales up's outputs and down's inputs against each other.
  Matrix apply_ffn(const Matrix& x, FloatLinear& gate, FloatLinear& up, FloatLinear& down, Matrix& inner) {
    inner = math_.swiglu(math_.multiply(x, gate.weight, gate.bias), math_.multiply(x, up.weight, up.bias));
    Matrix y = math_.multiply(inner, down.weight, down.bias);
    if (!smooths_inner(recipe_.smoothing) || x.rows == 0) return y;
    const auto s = smooth_scales(recipe_.smoothing, inner, {&down.weight}, {}, recipe_.form, math_);
    divide_rows(up.weight, s);
    if (!up.bias.empty()) divide(up.bias, s);
    scale_columns(down.weight, s, false);
    scale_columns(inner, s, true);
    return y;
  }

  Expected<std::vector<float>> dense(Matrix& x, Matrix& hidden) {
    FloatLinear gate, up, down;
    Matrix inner;
    const std::string mlp = prefix_ + "mlp.";
    const FfnNames names{mlp + "gate_proj", mlp + "up_proj", mlp + "down_proj"};
    if (auto status = read_ffn(names, c_.dense_ffn, gate, up, down); !status) return fail(status.error());
    add_to(hidden, apply_ffn(x, gate, up, down, inner));
    auto s = smooth_norm(x, {&gate, &up});
    auto status = out_.add(recipe_.dense, x, {&gate, &up});
    if (status) status = out_.add(recipe_.dense, inner, {&down});
    if (!status) return fail(status.error());
    return s;
  }

  FfnNames expert_names(int64_t expert) const {
    const bool mixtral = c_.names == TensorNames::mixtral;
    const std::string base = fmt::format("{}{}experts.{}.", prefix_, mixtral ? "block_sparse_moe." : "mlp.", expert);
    if (mixtral) return {base + "w1", base + "w3", base + "w2"};
    return {base + "gate_proj", base + "up_proj", base + "down_proj"};
  }

  // max|W| by column over all experts, one in memory at a time.
  Expected<std::vector<float>> expert_peaks() {
    std::vector<float> peaks(static_cast<size_t>(c_.hidden));
    for (int64_t expert = 0; expert < c_.experts; ++expert) {
      const FfnNames names = expert_names(expert);
      for (const std::string& name : {names.gate, names.up}) {
        FloatLinear linear;
        if (auto status = read(name, c_.expert_ffn, c_.hidden, linear); !status) return fail(status.error());
        const auto more = column_peaks(linear.weight);
        for (size_t j = 0; j < peaks.size(); ++j) peaks[j] = std::max(peaks[j], more[j]);
      }
    }
    return peaks;
  }

  Expected<std::vector<float>> experts(const Matrix& x, Matrix& hidden) {
    const bool mixtral = c_.names == TensorNames::mixtral;
    FloatLinear router;
    auto status = read(prefix_ + (mixtral ? "block_sparse_moe.gate" : "mlp.gate"), c_.experts, c_.hidden, router);
    if (!status) return fail(status.error());
    const Routing routing = math_.route(math_.multiply(x, router.weight, router.bias));
    std::vector<float> s;
    if (smooths()) {
      const auto peaks = expert_peaks();
      if (!peaks) return fail(peaks.error());
      Matrix scaled = x;
      s = smooth_norm(scaled, {&router}, *peaks);
    }
    // Never rounded: it decides where a token goes.
    const StoredTensor* stored = checkpoint_.find(router.name + ".weight");
    out_.add_float(router.name + ".weight", {c_.experts, c_.hidden}, router.weight.data, stored->dtype);
    for (int64_t expert = 0; expert < c_.experts; ++expert) {
      if (status = one_expert(expert, x, routing, s, hidden); !status) return fail(status.error());
    }
    return s;
  }

  Status one_expert(int64_t expert, const Matrix& x, const Routing& routing, const std::vector<float>& s,
                    Matrix& hidden) {
    FloatLinear gate, up, down;
    if (auto status = read_ffn(expert_names(expert), c_.expert_ffn, gate, up, down); !status) return status;
    std::vector<size_t> pairs;
    for (size_t pair = 0; pair < routing.expert.size(); ++pair) {
      if (routing.expert[pair] == expert) pairs.push_back(pair);
    }
    const auto top_k = static_cast<size_t>(c_.top_k);
    Matrix mine(static_cast<int64_t>(pairs.size()), x.columns), inner;
    for (size_t i = 0; i < pairs.size(); ++i) {
      std::copy_n(x.row(static_cast<int64_t>(pairs[i] / top_k)), x.columns, mine.row(static_cast<int64_t>(i)));
    }
    const Matrix y = apply_ffn(mine, gate, up, down, inner);
    for (size_t i = 0; i < pairs.size(); ++i) {
      float* to = hidden.row(static_cast<int64_t>(pairs[i] / top_k));
      const float* from = y.row(static_cast<int64_t>(i));
      for (int64_t c = 0; c < y.columns; ++c) to[c] += routing.weight[pairs[i]] * from[c];
    }
    if (!s.empty()) {
      scale_columns(mine, s, true);
      scale_columns(gate.weight, s, false);
      scale_columns(up.weight, s, false);
    }
    auto status = out_.add(recipe_.experts, mine, {&gate, &up});
    return status ? out_.add(recipe_.experts, inner, {&down}) : status;
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& c_;
  const Recipe& recipe_;
  const LayerMath& math_;
  const TextStarts& starts_;
  const std::string prefix_;
  const bool sparse_;
  const DType dtype_;
  LinearQuantizer out_;
};

}  // namespace

Expected<QuantizedLayer> quantize_layer(const Checkpoint& checkpoint, const ModelConfig& config, const Recipe& recipe,
                                        int64_t index, const LayerMath& math, const TextStarts& starts,
                                        Matrix& hidden) {
  QuantizedLayer layer;
  auto status = LayerQuantizer(checkpoint, config, recipe, index, math, starts, layer).run(hidden);
  if (!status) return fail(status.error());
  return layer;
}

}  // namespace tandem
