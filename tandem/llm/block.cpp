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

// Root and quotient are correctly rounded everywhere.
float attention_scale(int64_t head_dim) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim))); }

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
  std::byte* y = qkv_.data;
  for (const Linear& linear : layer.qkv) {
    const Operand x = operand(linear, norm_, norm_rounded_, rows, lane);
    multiply(linear, x, rows, {.y = y, .row_bytes = qkv_.row_bytes, .dtype = model_.dtype}, lane);
    y += linear.packed.n * element_;
  }
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
  operand(model_.layers[layer].output, attention_, attention_rounded_, rows, lane);
}

// Every rank computes the same choice from the same bits.
void Decoder::route(const LayerWeights& layer, int64_t rows, Lane& lane) {
  const Operand x = operand(layer.router, norm_, norm_rounded_, rows, lane);
  multiply(layer.router, x, rows, {.y = router_.data, .row_bytes = router_.row_bytes, .dtype = DType::f32}, lane);
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
void Decoder::expand_expert(const FfnWeights& ffn, int32_t expert, int64_t rows, Lane& lane) {
  const auto* chosen = reinterpret_cast<const int32_t*>(expert_.data);
  const int64_t choices = expert < 0 ? 1 : c_.top_k;
  const int64_t row_bytes = 2 * ffn.down.packed.k * element_;
  int64_t offset = 0;
  for (const Linear& linear : ffn.gate_up) {
    const Operand x = operand(linear, norm_, norm_rounded_, rows, lane);
    size_t count = 0;
    for (int64_t pair = 0; pair < rows * choices; ++pair) {
      if (expert >= 0 && chosen[pair] != expert) continue;
      x_rows_[count] = x.rows.at(pair / choices);
      y_rows_[count] = gate_up_.data + pair * row_bytes + offset;
      if (x.token != nullptr) tokens_[count] = x.token[pair / choices];
      ++count;
    }
    const Target target{.dtype = model_.dtype,
                        .x_rows = x_rows_.data(),
                        .y_rows = y_rows_.data(),
                        .token = x.token != nullptr ? tokens_.data() : nullptr};
    multiply(linear, x, static_cast<int64_t>(count), target, lane);
    offset += linear.packed.n * element_;
  }
}

void Decoder::expand(const LayerWeights& layer, int64_t rows, Lane& lane) {
  const int64_t columns = layer.ffn.front().down.packed.k;
  if (columns == 0) return;
  const int64_t pairs = layer.sparse ? rows * c_.top_k : rows;
  for (size_t expert = 0; expert < layer.ffn.size(); ++expert) {
    expand_expert(layer.ffn[expert], layer.sparse ? static_cast<int32_t>(expert) : -1, rows, lane);
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
  operand(layer.ffn.front().down, {inner_.data, args.y_row_bytes}, inner_rounded_, pairs, lane);
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
  const int64_t row_bytes = model_.head.packed.n * static_cast<int64_t>(sizeof(float));
  const Operand x{{norm_.at(first), norm_.row_bytes}, model_.dtype, nullptr};
  const Target target{.y = reinterpret_cast<std::byte*>(to), .row_bytes = row_bytes, .dtype = DType::f32};
  multiply(model_.head, x, rows, target, lane);
}

}  // namespace tandem
