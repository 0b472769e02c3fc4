// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/calibration.h"

#include <cmath>
#include <memory>

#include "tandem/kernels/pack.h"
#include "tandem/kernels/table.h"
#include "tandem/llm/kv_cache.h"

namespace tandem {
namespace {

constexpr int kLeaves = 8;

}  // namespace

LayerMath::LayerMath(const ModelConfig& config, const RopeTable& rope, Lane& lane)
    : c_(config), rope_(rope), lane_(lane), kernels_(default_table()) {}

Matrix LayerMath::multiply(const Matrix& x, const Matrix& weight, std::span<const float> bias) const {
  Matrix y(x.rows, weight.rows);
  if (y.data.empty()) return y;
  std::vector<std::byte> packed(packed_bytes(DType::f32, weight.columns, weight.rows) + 64);
  void* at = packed.data();
  size_t room = packed.size();
  std::align(64, room - 64, at, room);
  GemmArgs args;
  args.m = x.rows;
  args.n = weight.rows;
  args.k = weight.columns;
  args.leaves = kLeaves;
  args.x = x.data.data();
  args.x_row_bytes = x.row_bytes();
  args.x_dtype = DType::f32;
  args.w = pack_weight({weight.data.data(), DType::f32, 1, weight.columns, 0}, args.k, args.n, at);
  args.y = y.data.data();
  args.y_row_bytes = y.row_bytes();
  kernels_.gemm.run(args, lane_);
  if (bias.empty()) return y;
  for (int64_t row = 0; row < y.rows; ++row) {
    for (size_t c = 0; c < bias.size(); ++c) y.row(row)[c] += bias[c];
  }
  return y;
}

Matrix LayerMath::multiply_integers(const std::vector<int8_t>& x, int64_t rows, const float* token,
                                    const RoundedWeight& weight, float factor) const {
  Matrix y(rows, weight.n);
  std::vector<float> dequant;
  for (const float scale : weight.scale) dequant.push_back(scale * factor);
  std::vector<std::byte> packed(packed_bytes(DType::i8, weight.k, weight.n) + 64);
  void* at = packed.data();
  size_t room = packed.size();
  std::align(64, room - 64, at, room);
  GemmArgs args;
  args.m = rows;
  args.n = weight.n;
  args.k = weight.k;
  args.leaves = kLeaves;
  args.x = x.data();
  args.x_row_bytes = weight.k;
  args.x_dtype = DType::i8;
  args.w = pack_weight({weight.values.data(), DType::i8, 1, weight.k, 0}, args.k, args.n, at);
  args.dequant = {dequant.data(), DType::f32, 0, 1};
  args.token = token;
  args.y = y.data.data();
  args.y_row_bytes = y.row_bytes();
  if (!y.data.empty()) kernels_.gemm.run(args, lane_);
  return y;
}

Matrix LayerMath::multiply_static(const Matrix& x, const Range8& range, const RoundedWeight& weight) const {
  std::vector<int8_t> integers(x.data.size());
  const float reciprocal = 1.0f / range.scale;
  QuantizeArgs args;
  args.rows = x.rows;
  args.n = x.columns;
  args.x = x.data.data();
  args.x_row_bytes = x.row_bytes();
  args.x_dtype = DType::f32;
  args.scale = {&reciprocal, DType::f32, true};
  args.offset = {&range.offset, DType::f32, true};
  args.y = integers.data();
  args.y_row_bytes = x.columns;
  kernels_.quant.quantize(args, lane_);
  Matrix y = multiply_integers(integers, x.rows, nullptr, weight, range.scale);
  std::vector<float> zero;
  for (int64_t c = 0; c < weight.n; ++c) {
    int64_t sum = 0;
    for (int64_t k = 0; k < weight.k; ++k) sum += weight.values[static_cast<size_t>(c * weight.k + k)];
    zero.push_back(range.offset * static_cast<float>(sum) * (weight.scale[static_cast<size_t>(c)] * range.scale));
  }
  for (int64_t row = 0; row < y.rows; ++row) {
    for (int64_t c = 0; c < y.columns; ++c) y.row(row)[c] -= zero[static_cast<size_t>(c)];
  }
  return y;
}

Matrix LayerMath::multiply_dynamic(const Matrix& x, const RoundedWeight& weight) const {
  std::vector<int8_t> integers(x.data.size());
  std::vector<float> token(static_cast<size_t>(x.rows));
  DynamicQuantArgs args;
  args.rows = x.rows;
  args.n = x.columns;
  args.x = x.data.data();
  args.x_row_bytes = x.row_bytes();
  args.x_dtype = DType::f32;
  args.y = integers.data();
  args.y_row_bytes = x.columns;
  args.scale = token.data();
  if (x.rows > 0) kernels_.quant.dynamic_quant(args, lane_);
  return multiply_integers(integers, x.rows, token.data(), weight, 1.0f);
}

Matrix LayerMath::norm(const Matrix& x, std::span<const float> gamma, int64_t heads) const {
  Matrix y(x.rows, x.columns);
  AddRmsNormArgs args;
  args.rows = x.rows;
  args.n = x.columns;
  args.x = x.data.data();
  args.x_row_bytes = x.row_bytes();
  args.dtype = DType::f32;
  args.gamma = gamma.data();
  args.epsilon = static_cast<float>(c_.norm_epsilon);
  args.norm = y.data.data();
  args.norm_row_bytes = y.row_bytes();
  args.heads = heads;
  kernels_.norm.add_rms_norm(args, lane_);
  return y;
}

void LayerMath::rotate(Matrix& x, int64_t heads, const std::vector<int64_t>& positions) const {
  RopeArgs args;
  args.rows = x.rows;
  args.heads = heads;
  args.head_dim = c_.head_dim;
  args.x = x.data.data();
  args.row_bytes = x.row_bytes();
  args.dtype = DType::f32;
  args.cos = rope_.cos.data();
  args.sin = rope_.sin.data();
  args.positions = positions.data();
  kernels_.rope.rope(args, lane_);
}

Matrix LayerMath::attend(Matrix query, Matrix key, const Matrix& value, const TextStarts& starts) const {
  std::vector<int64_t> positions, lengths;
  for (size_t text = 0; text + 1 < starts.size(); ++text) {
    for (int64_t row = starts[text]; row < starts[text + 1]; ++row) {
      positions.push_back(row - starts[text]);
      lengths.push_back(positions.back() + 1);
    }
  }
  rotate(query, c_.heads, positions);
  rotate(key, c_.kv_heads, positions);
  Matrix y(query.rows, query.columns);
  // The rows of a text are its blocks; the last block may read on into the rows that follow, past its length.
  constexpr int64_t kBlock = KvCache::kBlock;
  key.data.resize(key.data.size() + static_cast<size_t>(kBlock * key.columns));
  std::vector<float> values = value.data;
  values.resize(key.data.size());
  for (size_t text = 0; text + 1 < starts.size(); ++text) {
    const int64_t first = starts[text], rows = starts[text + 1] - first;
    std::vector<int32_t> table;
    for (int64_t block = 0; block * kBlock < rows; ++block) table.push_back(static_cast<int32_t>(block));
    const std::vector<const int32_t*> tables(static_cast<size_t>(rows), table.data());
    PagedAttentionArgs args;
    args.rows = rows;
    args.query_heads = c_.heads;
    args.kv_heads = c_.kv_heads;
    args.head_dim = c_.head_dim;
    args.query = query.row(first);
    args.query_row_bytes = query.row_bytes();
    args.y = y.row(first);
    args.y_row_bytes = y.row_bytes();
    args.dtype = DType::f32;
    args.key_cache = key.row(first);
    args.value_cache = values.data() + first * key.columns;
    args.block_size = kBlock;
    args.block_tables = tables.data();
    args.lengths = lengths.data() + first;
    args.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c_.head_dim)));
    if (rows > 0) kernels_.attention.paged(args, lane_);
  }
  return y;
}

Matrix LayerMath::swiglu(const Matrix& gate, const Matrix& up) const {
  Matrix y(gate.rows, gate.columns);
  SwigluArgs args;
  args.rows = gate.rows;
  args.n = gate.columns;
  args.gate = gate.data.data();
  args.up = up.data.data();
  args.gate_row_bytes = args.up_row_bytes = args.y_row_bytes = gate.row_bytes();
  args.y = y.data.data();
  args.dtype = DType::f32;
  if (gate.rows > 0) kernels_.moe.swiglu(args, lane_);
  return y;
}

Routing LayerMath::route(const Matrix& logits) const {
  Routing routing;
  routing.expert.resize(static_cast<size_t>(logits.rows * c_.top_k));
  routing.weight.resize(routing.expert.size());
  TopKArgs args;
  args.rows = logits.rows;
  args.experts = c_.experts;
  args.top_k = c_.top_k;
  args.logits = logits.data.data();
  args.normalise = c_.normalise_top_k;
  args.expert = routing.expert.data();
  args.weight = routing.weight.data();
  kernels_.moe.top_k(args, lane_);
  return routing;
}

double mean_square(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (size_t i = 0; i < a.data.size(); ++i) {
    const double off = static_cast<double>(a.data[i]) - static_cast<double>(b.data[i]);
    sum += off * off;
  }
  return a.data.empty() ? 0 : sum / static_cast<double>(a.data.size());
}

}  // namespace tandem
