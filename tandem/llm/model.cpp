// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "tandem/llm/linear_load.h"

namespace tandem {
namespace {

constexpr size_t kBlockBytes = size_t{8} << 20;
constexpr size_t kAlign = 64;

struct FfnNames {
  std::string gate, up, down;
};

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const Description& description, Model& model)
      : checkpoint_(checkpoint), linears_(checkpoint, description, model), model_(model), c_(model.config) {}

  Status run() {
    if (auto status = load_embedding(); !status) return status;
    for (int64_t layer = 0; layer < c_.layers; ++layer) {
      if (auto status = load_layer(layer); !status) return status;
    }
    return load_vector("model.norm.weight", c_.hidden, model_.final_norm);
  }

 private:
  size_t bytes_of(int64_t elements) const { return dtype_bytes(model_.dtype, elements); }

  Status load_vector(const std::string& name, int64_t size, const void*& target) {
    const auto tensor = linears_.find(name, {size});
    if (!tensor) return fail(tensor.error());
    auto memory = model_.store.take(bytes_of(size));
    if (!memory) return fail(memory.error());
    target = *memory;
    return checkpoint_.read_rows(**tensor, 0, size, {*memory, bytes_of(size)});
  }

  // Column parallel: some of the outputs.
  static LinearCut rows_of(const std::string& name, int64_t out, int64_t in, Range rows) {
    return {name, out, in, rows, {0, in}};
  }

  // Row parallel: some of the inputs; one rank adds the bias.
  LinearCut columns_of(const std::string& name, int64_t out, int64_t in, Range columns) const {
    return {name, out, in, {0, out}, columns, model_.shard.rank == 0};
  }

  Status load_embedding() {
    const std::string name = "model.embed_tokens.weight";
    const auto tensor = linears_.find(name, {c_.vocabulary, c_.hidden});
    if (!tensor) return fail(tensor.error());
    const std::string head = c_.tied_embeddings ? "model.embed_tokens" : "lm_head";
    const LinearCut all = rows_of(head, c_.vocabulary, c_.hidden, {0, c_.vocabulary});
    if (auto status = linears_.load(all, model_.head); !status) return status;
    if (c_.tied_embeddings) return {};
    const size_t bytes = bytes_of(c_.vocabulary * c_.hidden);
    auto memory = model_.store.take(bytes);
    if (!memory) return fail(memory.error());
    model_.embedding = *memory;
    return checkpoint_.read_rows(**tensor, 0, c_.vocabulary, {*memory, bytes});
  }

  Status load_norms(const std::string& prefix, LayerWeights& layer) {
    auto status = load_vector(prefix + "input_layernorm.weight", c_.hidden, layer.input_norm);
    if (status) status = load_vector(prefix + "post_attention_layernorm.weight", c_.hidden, layer.post_norm);
    if (!status || !c_.head_norm) return status;
    status = load_vector(prefix + "self_attn.q_norm.weight", c_.head_dim, layer.query_norm);
    return status ? load_vector(prefix + "self_attn.k_norm.weight", c_.head_dim, layer.key_norm) : status;
  }

  Status load_attention(const std::string& prefix, LayerWeights& layer) {
    const int64_t d = c_.head_dim;
    const auto columns = [d](Range heads) { return Range{heads.first * d, heads.count * d}; };
    const Range query = columns(model_.shard.query_heads);
    const Range kv = columns(model_.shard.kv_heads);
    const std::vector<LinearCut> parts = {rows_of(prefix + "q_proj", c_.heads * d, c_.hidden, query),
                                          rows_of(prefix + "k_proj", c_.kv_heads * d, c_.hidden, kv),
                                          rows_of(prefix + "v_proj", c_.kv_heads * d, c_.hidden, kv)};
    if (auto status = linears_.load_side_by_side(parts, layer.qkv); !status) return status;
    return linears_.load(columns_of(prefix + "o_proj", c_.hidden, c_.heads * d, query), layer.output);
  }

  Status load_ffn(const FfnNames& names, int64_t width, Range columns, bool expert, FfnWeights& ffn) {
    const std::vector<LinearCut> parts = {rows_of(names.gate, width, c_.hidden, columns),
                                          rows_of(names.up, width, c_.hidden, columns)};
    if (auto status = linears_.load_side_by_side(parts, ffn.gate_up); !status) return status;
    LinearCut down = columns_of(names.down, c_.hidden, width, columns);
    down.float_weights = expert;
    if (auto status = linears_.load(down, ffn.down); !status) return status;
    if (!expert || (ffn.down.kind != QuantKind::int8_static && ffn.down.bias == nullptr)) return {};
    return fail(ErrorCode::unsupported,
                fmt::format("checkpoint: expert {} is static or has a bias, W8A8_DYNAMIC, weight-only or FLOAT wanted",
                            names.down));
  }

  Status load_experts(const std::string& prefix, LayerWeights& layer) {
    const bool mixtral = c_.names == TensorNames::mixtral;
    const std::string moe = prefix + (mixtral ? "block_sparse_moe." : "mlp.");
    const LinearCut router = rows_of(moe + "gate", c_.experts, c_.hidden, {0, c_.experts});
    if (auto status = linears_.load(router, layer.router); !status) return status;
    layer.ffn.resize(static_cast<size_t>(c_.experts));
    for (int64_t expert = 0; expert < c_.experts; ++expert) {
      const std::string base = fmt::format("{}experts.{}.", moe, expert);
      const FfnNames names =
          mixtral ? FfnNames{base + "w1", base + "w3", base + "w2"}
                  : FfnNames{base + "gate_proj", base + "up_proj", base + "down_proj"};
      FfnWeights& ffn = layer.ffn[static_cast<size_t>(expert)];
      if (auto status = load_ffn(names, c_.expert_ffn, model_.shard.expert_ffn, true, ffn); !status) return status;
      if (ffn.down.kind == layer.ffn.front().down.kind) continue;
      return fail(ErrorCode::unsupported, fmt::format("checkpoint: {} and expert 0 differ in type, one wanted", names.down));
    }
    return {};
  }

  Status load_layer(int64_t index) {
    const std::string prefix = fmt::format("model.layers.{}.", index);
    LayerWeights& layer = model_.layers.emplace_back();
    layer.sparse = c_.sparse[static_cast<size_t>(index)];
    if (auto status = load_norms(prefix, layer); !status) return status;
    if (auto status = load_attention(prefix + "self_attn.", layer); !status) return status;
    if (layer.sparse) return load_experts(prefix, layer);
    layer.ffn.resize(1);
    const std::string mlp = prefix + "mlp.";
    const FfnNames names{mlp + "gate_proj", mlp + "up_proj", mlp + "down_proj"};
    return load_ffn(names, c_.dense_ffn, model_.shard.dense_ffn, false, layer.ffn.front());
  }

  const Checkpoint& checkpoint_;
  LinearReader linears_;
  Model& model_;
  const ModelConfig& c_;
};

}  // namespace

Expected<std::byte*> WeightStore::take(size_t bytes) {
  const size_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
  if (blocks_.empty() || blocks_.back().size() - used_ < rounded) {
    auto block = Pages::allocate(std::max(rounded, kBlockBytes));
    if (!block) return fail(block.error());
    blocks_.push_back(std::move(*block));
    used_ = 0;
  }
  std::byte* const at = blocks_.back().as<std::byte>() + used_;
  used_ += rounded;
  total_ += rounded;
  return at;
}

Expected<std::unique_ptr<Model>> Model::load(const std::string& folder, int rank, int size) {
  auto config = load_config(folder);
  if (!config) return fail(config.error());
  const auto checkpoint = Checkpoint::open(folder);
  if (!checkpoint) return fail(checkpoint.error());
  auto model = std::make_unique<Model>();
  model->config = std::move(*config);
  auto shard = make_shard(model->config, rank, size);
  if (!shard) return fail(shard.error());
  model->shard = std::move(*shard);
  const auto description = Description::load(folder);
  if (!description) return fail(description.error());
  if (auto status = Loader(*checkpoint, *description, *model).run(); !status) return fail(status.error());
  return model;
}

void Model::embed(int32_t token, void* to) const {
  const size_t element = dtype_bytes(dtype, 1);
  const size_t hidden = static_cast<size_t>(config.hidden);
  const size_t column = static_cast<size_t>(token);
  if (embedding != nullptr) {
    std::memcpy(to, embedding + column * hidden * element, hidden * element);
    return;
  }
  const size_t panel = static_cast<size_t>(kPanel);
  const auto* from =
      static_cast<const std::byte*>(head.packed.weight.data) + (column / panel * hidden * panel + column % panel) * element;
  auto* out = static_cast<std::byte*>(to);
  for (size_t i = 0; i < hidden; ++i) std::memcpy(out + i * element, from + i * panel * element, element);
}

}  // namespace tandem
