// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/table.h"
#include "tandem/llm/block.h"
#include "tandem/llm/floats.h"

// Linear layers of a Decoder that one rank computes alone.
namespace tandem {
namespace {

// Products that are not split along k sum their whole k in this many leaves.
constexpr int kLeaves = 8;

GemmArgs product(const Linear& linear, DType x_dtype) {
  GemmArgs args;
  args.n = linear.packed.n;
  args.k = linear.packed.k;
  args.leaves = kLeaves;
  args.x_dtype = x_dtype;
  args.w = linear.packed.weight;
  if (linear.kind == QuantKind::none) return args;
  const ScaleView scale{linear.scale, DType::f32, linear.group == 0 ? 0 : args.n, 1};
  if (linear.kind != QuantKind::weight_only) {
    args.dequant = scale;
    return args;
  }
  args.scale = scale;
  args.group = linear.group;
  if (linear.offset != nullptr) args.offset = {linear.offset, DType::f32, scale.stride_group, 1};
  return args;
}

}  // namespace

// `x` itself, or its values in `room` where the layer multiplies integers.
Decoder::Operand Decoder::operand(const Linear& linear, const Rows& x, Rounded& room, int64_t rows, Lane& lane) {
  if (linear.kind == QuantKind::none || linear.kind == QuantKind::weight_only) return {x, model_.dtype, nullptr};
  room.integers.row_bytes = linear.packed.k;
  auto* token = reinterpret_cast<float*>(room.token.data);
  if (linear.kind == QuantKind::int8_dynamic) {
    DynamicQuantArgs args;
    args.rows = rows;
    args.n = linear.packed.k;
    args.x = x.data;
    args.x_row_bytes = x.row_bytes;
    args.x_dtype = model_.dtype;
    args.y = room.integers.data;
    args.y_row_bytes = room.integers.row_bytes;
    args.scale = token;
    kernels_.quant.dynamic_quant(args, lane);
    return {room.integers, DType::i8, token};
  }
  const float reciprocal = 1.0f / linear.input_scale;
  QuantizeArgs args;
  args.rows = rows;
  args.n = linear.packed.k;
  args.x = x.data;
  args.x_row_bytes = x.row_bytes;
  args.x_dtype = model_.dtype;
  args.scale = {&reciprocal, DType::f32, true};
  args.offset = {&linear.input_offset, DType::f32, true};
  args.y = room.integers.data;
  args.y_row_bytes = room.integers.row_bytes;
  kernels_.quant.quantize(args, lane);
  return {room.integers, DType::i8, nullptr};
}

void Decoder::multiply(const Linear& linear, const Operand& x, int64_t rows, const Target& target, Lane& lane) const {
  if (rows == 0 || linear.packed.n == 0) return;
  GemmArgs args = product(linear, x.dtype);
  args.m = rows;
  args.x = x.rows.data;
  args.x_row_bytes = x.rows.row_bytes;
  args.x_rows = target.x_rows;
  args.token = target.x_rows != nullptr ? target.token : x.token;
  args.y = target.y;
  args.y_row_bytes = target.row_bytes;
  args.y_rows = target.y_rows;
  args.y_dtype = target.dtype;
  if (linear.bias == nullptr) return kernels_.gemm.run(args, lane);
  args.y = wide_.data;
  args.y_row_bytes = args.n * static_cast<int64_t>(sizeof(float));
  args.y_rows = nullptr;
  args.y_dtype = DType::f32;
  kernels_.gemm.run(args, lane);
  const auto* sums = reinterpret_cast<const float*>(wide_.data);
  for (int64_t row = 0; row < rows; ++row) {
    void* const y = target.y_rows != nullptr ? target.y_rows[row] : target.y + row * target.row_bytes;
    for (int64_t c = 0; c < args.n; ++c) {
      const float sum = sums[row * args.n + c] + linear.bias[c];
      store_float_at(y, target.dtype, static_cast<size_t>(c), sum);
    }
  }
}

}  // namespace tandem
