// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tandem/kernels/table.h"
#include "tandem/llm/block.h"
#include "tandem/ops/mm_all_reduce.h"

// What a Decoder sets up before steps run: buffers and plans.
namespace tandem {
namespace {

// Prefill chunks, the last one of a prompt, and decode: more row counts than these are planned again.
constexpr size_t kPlannedRowCounts = 8;

TensorView matrix(std::byte* data, DType dtype, int64_t rows, int64_t columns) {
  return make_tensor(data, dtype, {rows, columns});
}

}  // namespace

Decoder::Decoder(const Model& model, KvCache& cache, const RopeTable& rope, Device& device, std::string group)
    : model_(model),
      c_(model.config),
      cache_(cache),
      rope_(rope),
      device_(device),
      group_(std::move(group)),
      kernels_(default_table()),
      element_(static_cast<int64_t>(dtype_bytes(model.dtype, 1))),
      query_columns_(model.shard.query_heads.count * c_.head_dim),
      kv_columns_(model.shard.kv_heads.count * c_.head_dim) {}

Status Decoder::take(Rows& rows, int64_t columns, DType dtype, int64_t per_row) {
  rows.row_bytes = static_cast<int64_t>(dtype_bytes(dtype, columns));
  if (columns == 0) return {};
  auto memory = memory_.take(static_cast<size_t>(rows.row_bytes * kMaxRows * per_row));
  if (!memory) return fail(memory.error());
  rows.data = *memory;
  return {};
}

Status Decoder::allocate() {
  const DType type = model_.dtype;
  const bool any_sparse = std::find(c_.sparse.begin(), c_.sparse.end(), true) != c_.sparse.end();
  const int64_t choices = any_sparse ? c_.top_k : 1;
  const int64_t columns = std::max(model_.shard.dense_ffn.count, model_.shard.expert_ffn.count);
  Status status = take(hidden_, c_.hidden, type);
  if (status) status = take(norm_, c_.hidden, type);
  if (status) status = take(qkv_, query_columns_ + 2 * kv_columns_, type);
  if (status && c_.head_norm) status = take(heads_, query_columns_ + kv_columns_, type);
  if (status) status = take(attention_, query_columns_, type);
  if (status) status = take(gate_up_, 2 * columns, type, choices);
  if (status) status = take(inner_, columns, type, choices);
  if (status && any_sparse) status = take(router_, c_.experts, DType::f32);
  if (status && any_sparse) status = take(expert_, c_.top_k, DType::i32);
  if (status && any_sparse) status = take(weight_, c_.top_k, DType::f32);
  if (status) status = allocate_rounded(columns, choices);
  const Rows& source = c_.head_norm ? heads_ : qkv_;
  query_ = source.data;
  key_ = source.data + query_columns_ * element_;
  query_row_bytes_ = source.row_bytes;
  x_rows_.resize(static_cast<size_t>(kMaxRows * choices));
  y_rows_.resize(x_rows_.size());
  tokens_.resize(x_rows_.size());
  return status;
}

Status Decoder::take(Rounded& rounded, int64_t columns, bool wanted, int64_t per_row) {
  if (!wanted) return {};
  if (auto status = take(rounded.integers, columns, DType::i8, per_row); !status) return status;
  return take(rounded.token, 1, DType::f32, per_row);
}

Status Decoder::allocate_rounded(int64_t columns, int64_t choices) {
  bool integers = false;
  int64_t widest = 0;  // of the layers with a bias
  const auto look_at = [&](const Linear& linear) {
    integers = integers || linear.kind == QuantKind::int8_static || linear.kind == QuantKind::int8_dynamic;
    if (linear.bias != nullptr) widest = std::max(widest, linear.packed.n);
  };
  for (const LayerWeights& layer : model_.layers) {
    std::for_each(layer.qkv.begin(), layer.qkv.end(), look_at);
    look_at(layer.output);
    look_at(layer.router);
    for (const FfnWeights& ffn : layer.ffn) {
      std::for_each(ffn.gate_up.begin(), ffn.gate_up.end(), look_at);
      look_at(ffn.down);
    }
  }
  look_at(model_.head);
  auto status = take(norm_rounded_, c_.hidden, integers);
  if (status) status = take(attention_rounded_, query_columns_, integers);
  if (status) status = take(inner_rounded_, columns, integers, choices);
  return status ? take(wide_, widest, DType::f32, choices) : status;
}

namespace {

TensorView floats(const float* data, std::initializer_list<int64_t> shape) {
  return make_tensor(const_cast<float*>(data), DType::f32, shape);
}

bool rounds_input(const Linear& linear) {
  return linear.kind == QuantKind::int8_static || linear.kind == QuantKind::int8_dynamic;
}

Quant quant_of(const Linear& linear, const std::byte* token, int64_t rows) {
  const int64_t n = linear.packed.n;
  if (linear.kind == QuantKind::none) return std::monostate();
  if (linear.kind == QuantKind::weight_only) {
    WeightScale scale{.scale = floats(linear.scale, {linear.groups(), n}), .offset = {}, .group = linear.group};
    if (linear.offset != nullptr) scale.offset = floats(linear.offset, {linear.groups(), n});
    return scale;
  }
  Int8Scale scale{.channel = floats(linear.scale, {n}), .token = {}};
  if (linear.kind == QuantKind::int8_dynamic) scale.token = floats(reinterpret_cast<const float*>(token), {rows});
  return scale;
}

}  // namespace

// The tail of both: hidden += sum over ranks, norm of it with the gamma that comes next.
Expected<Plan> Decoder::plan_tail(MmAllReduce op, const void* gamma, int64_t rows) {
  op.x2_panel = kPanel;
  op.y = matrix(hidden_.data, model_.dtype, rows, c_.hidden);
  op.group = group_;
  op.then = AddRmsNorm{.residual = op.y,
                       .gamma = make_tensor(const_cast<void*>(gamma), model_.dtype, {c_.hidden}),
                       .epsilon = c_.norm_epsilon,
                       .norm = matrix(norm_.data, model_.dtype, rows, c_.hidden),
                       .residual_replicated = true};
  return plan(op, device_);
}

Expected<Plan> Decoder::plan_dense(const Linear& linear, const Rows& x, const Rounded& rounded, const void* gamma,
                                   int64_t rows) {
  const bool integers = rounds_input(linear);
  MmAllReduce op;
  op.x1 = matrix(integers ? rounded.integers.data : x.data, integers ? DType::i8 : model_.dtype, rows, linear.packed.k);
  op.x2 = linear.packed.view();
  op.quant = quant_of(linear, rounded.token.data, rows);
  if (linear.bias != nullptr) op.bias = floats(linear.bias, {linear.packed.n});
  return plan_tail(op, gamma, rows);
}

Expected<Plan> Decoder::plan_attention(const LayerWeights& layer, int64_t rows) {
  return plan_dense(layer.output, attention_, attention_rounded_, layer.post_norm, rows);
}

Expected<Plan> Decoder::plan_ffn(size_t index, int64_t rows) {
  const LayerWeights& layer = model_.layers[index];
  const bool last = index + 1 == model_.layers.size();
  const void* gamma = last ? model_.final_norm : model_.layers[index + 1].input_norm;
  const Linear& down = layer.ffn.front().down;
  if (!layer.sparse) return plan_dense(down, inner_, inner_rounded_, gamma, rows);
  const bool integers = rounds_input(down);
  std::vector<TensorView> experts, scales;
  for (const FfnWeights& ffn : layer.ffn) {
    experts.push_back(ffn.down.packed.view());
    if (integers) scales.push_back(floats(ffn.down.scale, {ffn.down.packed.n}));
  }
  MmAllReduce op;
  op.x1 = make_tensor(integers ? inner_rounded_.integers.data : inner_.data, integers ? DType::i8 : model_.dtype,
                      {rows, c_.top_k, down.packed.k});
  op.experts = ExpertList{.experts = experts,
                          .expert = matrix(expert_.data, DType::i32, rows, c_.top_k),
                          .weight = matrix(weight_.data, DType::f32, rows, c_.top_k),
                          .scale = scales,
                          .token = {}};
  if (integers) op.experts->token = matrix(inner_rounded_.token.data, DType::f32, rows, c_.top_k);
  return plan_tail(op, gamma, rows);
}

Status Decoder::prepare(int64_t rows) {
  if (plans_.contains(rows)) return {};
  if (plans_.size() >= kPlannedRowCounts) plans_.clear();
  std::vector<LayerPlans> layers;
  size_t workspace = workspace_.size();
  for (size_t index = 0; index < model_.layers.size(); ++index) {
    auto attention = plan_attention(model_.layers[index], rows);
    if (!attention) return fail(attention.error());
    auto ffn = plan_ffn(index, rows);
    if (!ffn) return fail(ffn.error());
    workspace = std::max({workspace, attention->workspace_bytes(), ffn->workspace_bytes()});
    layers.push_back({std::move(*attention), std::move(*ffn)});
  }
  workspace_.resize(workspace);
  plans_.emplace(rows, std::move(layers));
  return {};
}

}  // namespace tandem
