// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/block.h"

#include <cmath>
#include <cstring>

#include "tandem/exec/device.h"
#include "tandem/kernels/table.h"

// One step of a decoder: pre-norm, qkv, head norms, rope, paged attention, o_proj with the post-attention norm as its
// tail, router and experts or dense ffn, down projection with the next layer's input norm as its tail.
namespace tandem {
namespace {

// Products that are not split along k sum their whole k in this many leaves.
constexpr int kLeaves = 8;

// Root and quotient are correctly rounded everywhere.
float attention_scale(int64_t head_dim) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim))); }

GemmArgs product(const PackedWeight& weight, DType dtype) {
  GemmArgs args;
  args.n = weight.n;
  args.k = weight.k;
  args.leaves = kLeaves;
  args.x_dtype = dtype;
  args.w = weight.weight;
  args.y_dtype = dtype;
  return args;
}

}  // namespace

void Decoder::embed(std::span<const int32_t> tokens, Lane& lane) {
  for (size_t row = 0; row < tokens.size(); ++row) model_.embed(tokens[row], hidden_.at(static_cast<int64_t>(row)));
  AddRmsNormArgs args;
  args.rows = static_cast<int64_t>(tokens.size());
  args.n = c_.hidden;
  args.x = hidden_.data;
  args.x_row_bytes = hidden_.row_bytes;
  args.x_dtype = args.dtype = model_.dtype;
  args.gamma = model_.layers.front().input_norm;
  args.epsilon = static_cast<float>(c_.norm_epsilon);
  args.norm = norm_.data;
  args.norm_row_bytes = norm_.row_bytes;
  kernels_.norm.add_rms_norm(args, lane);
}

void Decoder::project_qkv(const LayerWeights& layer, int64_t rows, Lane& lane) {
  GemmArgs args = product(layer.qkv, model_.dtype);
  args.m = rows;
  args.x = norm_.data;
  args.x_row_bytes = norm_.row_bytes;
  args.y = qkv_.data;
  args.y_row_bytes = qkv_.row_bytes;
  kernels_.gemm.run(args, lane);
}

void Decoder::normalise_heads(const LayerWeights& layer, int64_t rows, Lane& lane) {
  AddRmsNormArgs args;
  args.rows = rows;
  args.x_row_bytes = qkv_.row_bytes;
  args.x_dtype = args.dtype = model_.dtype;
  args.epsilon = static_cast<float>(c_.norm_epsilon);
  args.norm_row_bytes = heads_.row_bytes;
  args.n = query_columns_;
  args.heads = model_.shard.query_heads.count;
  args.x = qkv_.data;
  args.gamma = layer.query_norm;
  args.norm = query_;
  kernels_.norm.add_rms_norm(args, lane);
  args.n = kv_columns_;
  args.heads = model_.shard.kv_heads.count;
  args.x = qkv_.data + query_columns_ * element_;
  args.gamma = layer.key_norm;
  args.norm = key_;
  kernels_.norm.add_rms_norm(args, lane);
}

void Decoder::store_keys_and_values(size_t layer, int64_t rows) {
  const int64_t values = (query_columns_ + kv_columns_) * element_;
  for (size_t piece = 0; piece < model_.shard.pieces.size(); ++piece) {
    const Range kv = model_.shard.pieces[piece].kv;
    const int64_t bytes = kv.count * c_.head_dim * element_;
    const int64_t offset = (kv.first - model_.shard.kv_heads.first) * c_.head_dim * element_;
    auto* keys = static_cast<std::byte*>(cache_.key(static_cast<int64_t>(layer), piece));
    auto* cached_values = static_cast<std::byte*>(cache_.value(static_cast<int64_t>(layer), piece));
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t position = positions_[static_cast<size_t>(row)];
      const int64_t block = table_[static_cast<size_t>(position / KvCache::kBlock)];
      const int64_t at = (block * KvCache::kBlock + position % KvCache::kBlock) * bytes;
      std::memcpy(keys + at, key_ + row * query_row_bytes_ + offset, static_cast<size_t>(bytes));
      std::memcpy(cached_values + at, qkv_.at(row) + values + offset, static_cast<size_t>(bytes));
    }
  }
}

void Decoder::attend(size_t layer, int64_t rows, Lane& lane) {
  if (query_columns_ == 0) return;
  if (c_.head_norm) normalise_heads(model_.layers[layer], rows, lane);
  RopeArgs rope;
  rope.rows = rows;
  rope.heads = model_.shard.query_heads.count + model_.shard.kv_heads.count;
  rope.head_dim = c_.head_dim;
  rope.x = query_;
  rope.row_bytes = query_row_bytes_;
  rope.dtype = model_.dtype;
  rope.cos = rope_.cos.data();
  rope.sin = rope_.sin.data();
  rope.positions = positions_.data();
  kernels_.rope.rope(rope, lane);
  store_keys_and_values(layer, rows);
  for (size_t piece = 0; piece < model_.shard.pieces.size(); ++piece) {
    const HeadPiece& heads = model_.shard.pieces[piece];
    const int64_t offset = (heads.query.first - model_.shard.query_heads.first) * c_.head_dim * element_;
    PagedAttentionArgs args;
    args.rows = rows;
    args.query_heads = heads.query.count;
    args.kv_heads = heads.kv.count;
    args.head_dim = c_.head_dim;
    args.query = query_ + offset;
    args.query_row_bytes = query_row_bytes_;
    args.y = attention_.data + offset;
    args.y_row_bytes = attention_.row_bytes;
    args.dtype = model_.dtype;
    args.key_cache = cache_.key(static_cast<int64_t>(layer), piece);
    args.value_cache = cache_.value(static_cast<int64_t>(layer), piece);
    args.block_size = KvCache::kBlock;
    args.block_tables = tables_.data();
    args.lengths = lengths_.data();
    args.scale = attention_scale(c_.head_dim);
    kernels_.attention.paged(args, lane);
  }
}

// Every rank computes the same choice from the same bits.
void Decoder::route(const LayerWeights& layer, int64_t rows, Lane& lane) {
  GemmArgs args = product(layer.router, model_.dtype);
  args.m = rows;
  args.x = norm_.data;
  args.x_row_bytes = norm_.row_bytes;
  args.y = router_.data;
  args.y_row_bytes = router_.row_bytes;
  args.y_dtype = DType::f32;
  kernels_.gemm.run(args, lane);
  TopKArgs choice;
  choice.rows = rows;
  choice.experts = c_.experts;
  choice.top_k = c_.top_k;
  choice.logits = reinterpret_cast<const float*>(router_.data);
  choice.normalise = c_.normalise_top_k;
  choice.expert = reinterpret_cast<int32_t*>(expert_.data);
  choice.weight = reinterpret_cast<float*>(weight_.data);
  kernels_.moe.top_k(choice, lane);
}

// gate and up of one expert for the (row, choice) pairs that chose it; of a dense ffn for all rows.
void Decoder::expand_expert(const PackedWeight& gate_up, int32_t expert, int64_t pairs, Lane& lane) {
  const auto* chosen = reinterpret_cast<const int32_t*>(expert_.data);
  const int64_t choices = expert < 0 ? 1 : c_.top_k;
  const int64_t row_bytes = gate_up.n * element_;
  int64_t count = 0;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    if (expert >= 0 && chosen[pair] != expert) continue;
    x_rows_[static_cast<size_t>(count)] = norm_.at(pair / choices);
    y_rows_[static_cast<size_t>(count)] = gate_up_.data + pair * row_bytes;
    ++count;
  }
  if (count == 0) return;
  GemmArgs args = product(gate_up, model_.dtype);
  args.m = count;
  args.x_rows = x_rows_.data();
  args.y_rows = y_rows_.data();
  kernels_.gemm.run(args, lane);
}

void Decoder::expand(const LayerWeights& layer, int64_t rows, Lane& lane) {
  const int64_t columns = layer.ffn.front().down.k;
  if (columns == 0) return;
  const int64_t pairs = layer.sparse ? rows * c_.top_k : rows;
  if (layer.sparse) {
    for (size_t expert = 0; expert < layer.ffn.size(); ++expert) {
      expand_expert(layer.ffn[expert].gate_up, static_cast<int32_t>(expert), pairs, lane);
    }
  } else {
    expand_expert(layer.ffn.front().gate_up, -1, pairs, lane);
  }
  SwigluArgs args;
  args.rows = pairs;
  args.n = columns;
  args.gate = gate_up_.data;
  args.up = gate_up_.data + columns * element_;
  args.gate_row_bytes = args.up_row_bytes = 2 * columns * element_;
  args.y = inner_.data;
  args.y_row_bytes = columns * element_;
  args.dtype = model_.dtype;
  kernels_.moe.swiglu(args, lane);
}

Status Decoder::run(std::span<const int32_t> tokens, int64_t first, std::span<const int32_t> table, Lane& lane) {
  const auto rows = static_cast<int64_t>(tokens.size());
  const auto planned = plans_.find(rows);
  if (planned == plans_.end()) return fail(ErrorCode::internal, "decoder: step of rows that were not prepared");
  table_ = table;
  positions_.resize(tokens.size());
  lengths_.resize(tokens.size());
  tables_.assign(tokens.size(), table.data());
  for (size_t row = 0; row < tokens.size(); ++row) {
    positions_[row] = first + static_cast<int64_t>(row);
    lengths_[row] = positions_[row] + 1;
  }
  embed(tokens, lane);
  for (size_t index = 0; index < model_.layers.size(); ++index) {
    const LayerWeights& layer = model_.layers[index];
    const LayerPlans& plans = planned->second[index];
    if (query_columns_ > 0) project_qkv(layer, rows, lane);
    attend(index, rows, lane);
    if (auto status = plans.attention.execute(workspace_, lane); !status) return status;
    if (layer.sparse) route(layer, rows, lane);
    if (layer.sparse && probe_.routed) {
      probe_.routed(index, {reinterpret_cast<const int32_t*>(expert_.data), static_cast<size_t>(rows * c_.top_k)});
    }
    expand(layer, rows, lane);
    if (auto status = plans.ffn.execute(workspace_, lane); !status) return status;
    if (probe_.hidden) probe_.hidden(index, hidden_.data);
  }
  return {};
}

void Decoder::logits(int64_t first, int64_t rows, float* to, Lane& lane) const {
  GemmArgs args = product(model_.head, model_.dtype);
  args.m = rows;
  args.x = norm_.at(first);
  args.x_row_bytes = norm_.row_bytes;
  args.y = to;
  args.y_row_bytes = model_.head.n * static_cast<int64_t>(sizeof(float));
  args.y_dtype = DType::f32;
  kernels_.gemm.run(args, lane);
}

}  // namespace tandem
