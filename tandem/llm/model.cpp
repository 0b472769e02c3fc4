// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "tandem/kernels/pack.h"
#include "tandem/llm/weights.h"

namespace tandem {
namespace {

constexpr size_t kBlockBytes = size_t{8} << 20;
constexpr size_t kAlign = 64;

// Rows [rows.first, rows.end()) of a tensor (out, in).
struct RowsOf {
  std::string name;
  int64_t out;
  Range rows;
};

struct FfnNames {
  std::string gate, up, down;
};

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, Model& model) : checkpoint_(checkpoint), model_(model), c_(model.config) {}

  Status run() {
    if (auto status = load_embedding(); !status) return status;
    for (int64_t layer = 0; layer < c_.layers; ++layer) {
      if (auto status = load_layer(layer); !status) return status;
    }
    return load_vector("model.norm.weight", c_.hidden, model_.final_norm);
  }

 private:
  Expected<const StoredTensor*> find(const std::string& name, std::initializer_list<int64_t> shape) {
    auto tensor = checkpoint_.require(name, shape);
    if (!tensor) return tensor;
    if (model_.dtype == DType::none) model_.dtype = (*tensor)->dtype;
    if ((*tensor)->dtype == model_.dtype) return tensor;
    return fail(ErrorCode::unsupported,
                fmt::format("checkpoint: tensor {} is {}, {} like model.embed_tokens.weight wanted", name,
                            dtype_name((*tensor)->dtype), dtype_name(model_.dtype)));
  }

  size_t bytes_of(int64_t elements) const { return dtype_bytes(model_.dtype, elements); }

  Status load_vector(const std::string& name, int64_t size, const void*& target) {
    const auto tensor = find(name, {size});
    if (!tensor) return fail(tensor.error());
    auto memory = model_.store.take(bytes_of(size));
    if (!memory) return fail(memory.error());
    target = *memory;
    return checkpoint_.read_rows(**tensor, 0, size, {*memory, bytes_of(size)});
  }

  Status pack(const Weight& from, int64_t k, int64_t n, PackedWeight& target) {
    target = {{nullptr, model_.dtype, 0, 0, kPanel}, k, n};
    if (k == 0 || n == 0) return {};
    auto memory = model_.store.take(packed_bytes(model_.dtype, k, n));
    if (!memory) return fail(memory.error());
    target.weight = pack_weight(from, k, n, *memory);
    return {};
  }

  // Column parallel: rows of several (out, in) tensors become neighbouring columns of one weight (in, n).
  Status pack_rows(const std::vector<RowsOf>& parts, int64_t in, PackedWeight& target) {
    int64_t n = 0;
    for (const RowsOf& part : parts) n += part.rows.count;
    for (const RowsOf& part : parts) {
      if (const auto tensor = find(part.name, {part.out, in}); !tensor) return fail(tensor.error());
    }
    buffer_.resize(bytes_of(n * in));
    size_t done = 0;
    for (const RowsOf& part : parts) {
      const size_t bytes = bytes_of(part.rows.count * in);
      const auto to = std::span(buffer_).subspan(done, bytes);
      const StoredTensor& tensor = *checkpoint_.find(part.name);
      if (auto status = checkpoint_.read_rows(tensor, part.rows.first, part.rows.count, to); !status) return status;
      done += bytes;
    }
    return pack({buffer_.data(), model_.dtype, 1, in, 0}, in, n, target);
  }

  // Row parallel: columns of an (out, in) tensor become the k of a weight (columns, out).
  Status pack_columns(const std::string& name, int64_t out, int64_t in, Range columns, PackedWeight& target) {
    const auto tensor = find(name, {out, in});
    if (!tensor) return fail(tensor.error());
    buffer_.resize(columns.count == 0 ? 0 : bytes_of(out * in));
    if (columns.count > 0) {
      if (auto status = checkpoint_.read_rows(**tensor, 0, out, buffer_); !status) return status;
    }
    return pack({buffer_.data() + bytes_of(columns.first), model_.dtype, 1, in, 0}, columns.count, out, target);
  }

  Status load_embedding() {
    const std::string name = "model.embed_tokens.weight";
    const auto tensor = find(name, {c_.vocabulary, c_.hidden});
    if (!tensor) return fail(tensor.error());
    const RowsOf all{c_.tied_embeddings ? name : "lm_head.weight", c_.vocabulary, {0, c_.vocabulary}};
    if (auto status = pack_rows({all}, c_.hidden, model_.head); !status) return status;
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
    const std::vector<RowsOf> parts = {{prefix + "q_proj.weight", c_.heads * d, query},
                                       {prefix + "k_proj.weight", c_.kv_heads * d, kv},
                                       {prefix + "v_proj.weight", c_.kv_heads * d, kv}};
    if (auto status = pack_rows(parts, c_.hidden, layer.qkv); !status) return status;
    return pack_columns(prefix + "o_proj.weight", c_.hidden, c_.heads * d, query, layer.output);
  }

  Status load_ffn(const FfnNames& names, int64_t width, Range columns, FfnWeights& ffn) {
    const std::vector<RowsOf> parts = {{names.gate, width, columns}, {names.up, width, columns}};
    if (auto status = pack_rows(parts, c_.hidden, ffn.gate_up); !status) return status;
    return pack_columns(names.down, c_.hidden, width, columns, ffn.down);
  }

  Status load_experts(const std::string& prefix, LayerWeights& layer) {
    const bool mixtral = c_.names == TensorNames::mixtral;
    const std::string moe = prefix + (mixtral ? "block_sparse_moe." : "mlp.");
    const RowsOf router{moe + "gate.weight", c_.experts, {0, c_.experts}};
    if (auto status = pack_rows({router}, c_.hidden, layer.router); !status) return status;
    layer.ffn.resize(static_cast<size_t>(c_.experts));
    for (int64_t expert = 0; expert < c_.experts; ++expert) {
      const std::string base = fmt::format("{}experts.{}.", moe, expert);
      const FfnNames names =
          mixtral ? FfnNames{base + "w1.weight", base + "w3.weight", base + "w2.weight"}
                  : FfnNames{base + "gate_proj.weight", base + "up_proj.weight", base + "down_proj.weight"};
      FfnWeights& ffn = layer.ffn[static_cast<size_t>(expert)];
      if (auto status = load_ffn(names, c_.expert_ffn, model_.shard.expert_ffn, ffn); !status) return status;
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
    const FfnNames names{mlp + "gate_proj.weight", mlp + "up_proj.weight", mlp + "down_proj.weight"};
    return load_ffn(names, c_.dense_ffn, model_.shard.dense_ffn, layer.ffn.front());
  }

  const Checkpoint& checkpoint_;
  Model& model_;
  const ModelConfig& c_;
  std::vector<std::byte> buffer_;
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
  if (auto status = Loader(*checkpoint, *model).run(); !status) return fail(status.error());
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
      static_cast<const std::byte*>(head.weight.data) + (column / panel * hidden * panel + column % panel) * element;
  auto* out = static_cast<std::byte*>(to);
  for (size_t i = 0; i < hidden; ++i) std::memcpy(out + i * element, from + i * panel * element, element);
}

}  // namespace tandem
