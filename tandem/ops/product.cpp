// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/product.h"

#include <algorithm>
#include <utility>

#include "tandem/ops/quantize.h"

namespace tandem {
namespace {

constexpr int kLeaves = 8;  // of operators without a communicator

GemmArgs gemm_args(const Product& p, void* y, DType y_dtype) {
  GemmArgs args;
  args.m = p.m;
  args.n = p.n;
  args.k = p.k;
  args.leaves = kLeaves;
  args.x = p.x;
  args.x_row_bytes = p.x_row_bytes;
  args.x_dtype = p.x_dtype;
  args.w = p.w;
  args.scale = p.scale;
  args.offset = p.offset;
  args.group = p.group;
  args.y = y;
  args.y_dtype = y_dtype;
  args.y_row_bytes = row_bytes(y_dtype, p.n);
  return args;
}

// sums += bias for every row, in f32.
Status add_bias(const TensorView& bias, void* sums, int64_t m, int64_t n, std::string_view name, Work& work) {
  void* wide = work.lane.scratch->take(dtype_bytes(DType::f32, n));
  if (wide == nullptr) return no_scratch(name, "the bias");
  work.kernels.reduce.cast({n, bias.data, bias.dtype, wide, DType::f32}, work.lane);
  work.kernels.elementwise.binary({m * n, sums, wide, n, sums, DType::f32, Binary::add}, work.lane);
  return {};
}

Status float_product(const Product& p, std::string_view name, Work& work) {
  if (!p.bias.present()) {
    work.kernels.gemm.run(gemm_args(p, p.y, p.y_dtype), work.lane);
    return {};
  }
  void* sums = p.y_dtype == DType::f32 ? p.y : work.lane.scratch->take(dtype_bytes(DType::f32, p.m * p.n));
  if (sums == nullptr) return no_scratch(name, "the sums");
  work.kernels.gemm.run(gemm_args(p, sums, DType::f32), work.lane);
  if (auto status = add_bias(p.bias, sums, p.m, p.n, name, work); !status) return status;
  if (sums != p.y) work.kernels.reduce.cast({p.m * p.n, sums, DType::f32, p.y, p.y_dtype}, work.lane);
  return {};
}

// value = sum * dequant * token as y_dtype.
void dequantise(const Product& p, const void* sums, void* y, DType y_dtype, Work& work) {
  DequantizeArgs args;
  args.rows = p.m;
  args.n = p.n;
  args.x = sums;
  args.x_dtype = DType::i32;
  args.x_row_bytes = row_bytes(DType::i32, p.n);
  args.scale = p.dequant;
  args.row_scale = p.token;
  args.y = y;
  args.y_dtype = y_dtype;
  args.y_row_bytes = row_bytes(y_dtype, p.n);
  work.kernels.quant.dequantize(args, work.lane);
}

void requantise(const Product& p, const void* values, Work& work) {
  QuantizeArgs args;
  args.rows = p.m;
  args.n = p.n;
  args.x = values;
  args.x_dtype = DType::f32;
  args.x_row_bytes = row_bytes(DType::f32, p.n);
  args.offset = p.y_offset;
  args.y = p.y;
  args.y_row_bytes = p.n;
  work.kernels.quant.quantize(args, work.lane);
}

Status integer_product(const Product& p, std::string_view name, Work& work) {
  void* sums = p.y_dtype == DType::i32 ? p.y : work.lane.scratch->take(dtype_bytes(DType::i32, p.m * p.n));
  if (sums == nullptr) return no_scratch(name, "the sums");
  GemmArgs args = gemm_args(p, sums, DType::i32);
  args.leaves = 1;
  work.kernels.gemm.run(args, work.lane);
  if (p.bias.dtype == DType::i32) {
    work.kernels.elementwise.binary({p.m * p.n, sums, p.bias.data, p.n, sums, DType::i32, Binary::add}, work.lane);
  }
  if (sums == p.y) return {};
  const bool float_bias = is_float(p.bias.dtype), narrow = p.y_dtype == DType::i8;
  if (!float_bias && !narrow) {
    dequantise(p, sums, p.y, p.y_dtype, work);
    return {};
  }
  dequantise(p, sums, sums, DType::f32, work);  // the same four bytes
  if (float_bias) {
    if (auto status = add_bias(p.bias, sums, p.m, p.n, name, work); !status) return status;
  }
  if (narrow) {
    requantise(p, sums, work);
  } else {
    work.kernels.reduce.cast({p.m * p.n, sums, DType::f32, p.y, p.y_dtype}, work.lane);
  }
  return {};
}

}  // namespace

Status run_product(const Product& product, std::string_view name, Work& work) {
  if (product.m == 0 || product.n == 0) return {};
  const Scratch::Mark mark(*work.lane.scratch);
  const bool integer = product.x_dtype == DType::i8 && product.scale.data == nullptr;
  return integer ? integer_product(product, name, work) : float_product(product, name, work);
}

bool packed_as_columns(const TensorView& view) {
  const auto rows_follow = [](int64_t inner, int64_t outer, int64_t extent) { return inner == 1 && outer == extent; };
  return rows_follow(view.step(-2), view.step(-1), view.dim(-2)) &&
         !rows_follow(view.step(-1), view.step(-2), view.dim(-1));
}

bool plain_matrix(const TensorView& view) {
  const bool row_major = view.dim(-1) <= 1 || view.step(-1) == 1,
             rows_close = view.dim(-2) <= 1 || view.step(-2) == view.dim(-1);
  const bool turned = view.dim(-2) <= 1 || view.step(-2) == 1,
             columns_close = view.dim(-1) <= 1 || view.step(-1) == view.dim(-2);
  return (row_major && rows_close) || (turned && columns_close);
}

namespace {

bool is_turned(const TensorView& view) {
  const bool turned = view.dim(-2) <= 1 || view.step(-2) == 1,
             columns_close = view.dim(-1) <= 1 || view.step(-1) == view.dim(-2);
  const bool row_major = view.dim(-1) <= 1 || view.step(-1) == 1,
             rows_close = view.dim(-2) <= 1 || view.step(-2) == view.dim(-1);
  // A single column reads both ways; two i4 share a byte along it.
  return turned && columns_close && (view.dim(-1) == 1 || !(row_major && rows_close));
}

}  // namespace

void check_weight_pairs(Check& check, std::string_view name, const TensorView& view) {
  if (view.dtype != DType::i4 || check.failed()) return;
  check.that(plain_matrix(view), "{} {} has strides [{},{}], a row-major or transposed matrix wanted for i4", name,
             view.describe(), view.step(-2), view.step(-1));
  const int64_t inner = is_turned(view) ? view.dim(-2) : view.dim(-1);
  for (int axis = 0; axis + 2 < view.rank; ++axis) {
    check.that(view.step(axis) % 2 == 0, "{} {} has an odd stride in dimension {}, an even one wanted for i4", name,
               view.describe(), axis);
  }
  check.that(inner % 2 == 0, "{} {} has {} elements on its contiguous axis, an even number wanted for i4", name,
             view.describe(), inner);
}

Weight weight_at(const TensorView& view, int64_t offset) {
  const void* data = view.as<const char>() + offset * dtype_bits(view.dtype) / 8;
  if (is_turned(view)) return {data, view.dtype, 1, std::max<int64_t>(1, view.dim(-2)), 0};
  return {data, view.dtype, std::max<int64_t>(1, view.dim(-1)), 1, 0};
}

ScaleView scale_at(const TensorView& view, int64_t n) {
  if (!view.present()) return {};
  ScaleView scale{view.data, view.dtype, 0, 0};
  if (view.dim(-1) == n && n != 1) scale.stride_n = view.step(-1);
  if (view.rank == 2 && view.dim(0) > 1) scale.stride_group = view.step(0);
  return scale;
}

Expected<PerColumn> dequant_column(const TensorView& scale, std::string_view name, Work& work) {
  if (!scale.present()) return PerColumn{};
  if (is_float(scale.dtype)) return per_column(scale, name, work);
  const int64_t count = scale.elements();
  auto* values = work.lane.scratch->take_array<float>(count);
  if (values == nullptr) return no_scratch(name, "the scales");
  for (int64_t i = 0; i < count; ++i) values[i] = decode_scale(scale.as<const uint64_t>()[i]);
  return PerColumn{values, DType::f32, count == 1};
}

}  // namespace tandem
