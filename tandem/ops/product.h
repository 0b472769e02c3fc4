// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/ops/single.h"

// One product of the matmul operators. Internal to ops.
namespace tandem {

// y (m, n) of x (m, k) and w (k, n), as the kernels want them. One of
//   float:       y = rd(x @ w + bias)
//   weight-only: with scale (and offset, group); y likewise
//   integer:     x int8 and no scale: sum = x @ w + an int32 bias; y i32: the sum; floats: rd(sum * dequant * token +
//                a float bias); i8: sat8(round half even(sum * dequant * token + bias + y_offset))
struct Product {
  int64_t m = 0, n = 0, k = 0;
  const void* x = nullptr;
  int64_t x_row_bytes = 0;
  DType x_dtype = DType::none;
  Weight w;
  ScaleView scale, offset;
  int64_t group = 0;
  PerColumn dequant, y_offset;
  const float* token = nullptr;
  TensorView bias;  // [n] or absent
  void* y = nullptr;
  DType y_dtype = DType::none;
};
Status run_product(const Product& product, std::string_view name, Work& work);

// The last two axes are row-major or transposed without gaps, so that kernels read them in place.
bool plain_matrix(const TensorView& view);
// Packed weights were packed as this view's rows, or as those of its transposition; with one row or column only the
// strides of pack_weights() and transposed() tell.
bool packed_as_columns(const TensorView& view);
// Two i4 share a byte of the contiguous axis, which has to be even.
void check_weight_pairs(Check& check, std::string_view name, const TensorView& view);
// Matrix at `offset` elements of a plain view.
Weight weight_at(const TensorView& view, int64_t offset);
// [1], [n], [1,n] or [groups,n] with any strides.
ScaleView scale_at(const TensorView& view, int64_t n);
// Dequantisation scales as f32: floats widened, words of 64 bits decoded.
Expected<PerColumn> dequant_column(const TensorView& scale, std::string_view name, Work& work);

}  // namespace tandem
