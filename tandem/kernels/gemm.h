// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// Matrix products with weights of any float type, int8 or int4.
//
//   leaf_j[m][c] = sum over k in [floor(j*k/L), floor((j+1)*k/L)), rising, of one fma per product
//   value[m][c]  = tree(leaf_0 .. leaf_{L-1})                                        (empty leaves are +0)
//
// float weights:   leaf = fma(x, w, leaf) from +0.
// weight-only:     t = fl32(w + offset) (w without offset); per run of k with one scale row, cut at leaf borders:
//                  seg = fma(x, t, seg) from +0; then leaf = fma(seg, scale, leaf).
// int8 x int8:     leaf = fl32(fl32(int32 sum) * dequant[c]), then * token[m] where given.
//
// Bits depend on k, L, the group and the operands alone: not on m, threads, layout or instruction set.
namespace tandem {

// Where element (kk, c) of a (k, n) weight lies, counted in elements from data:
//   panel == 0: kk * stride_k + c * stride_n       (one stride is 1)
//   panel == P: (c / P) * k * P + kk * P + c % P   (packed panels of P columns, padded with zeros to whole panels)
struct Weight {
  const void* data = nullptr;
  DType dtype = DType::none;
  int64_t stride_k = 0;
  int64_t stride_n = 0;
  int64_t panel = 0;
};
inline constexpr int64_t kPanel = 16;

// Scale or offset of weight-only products: element (g, c) at g * stride_group + c * stride_n; a stride is 0 where one
// value serves all. data == nullptr: absent.
struct ScaleView {
  const void* data = nullptr;
  DType dtype = DType::none;
  int64_t stride_group = 0;
  int64_t stride_n = 0;
};

struct GemmArgs {
  int64_t m = 0, n = 0, k = 0;
  int leaves = 8;
  // x: row r at (char*)x + r * x_row_bytes, or x_rows[r] where x_rows is given. Elements contiguous in a row.
  const void* x = nullptr;
  int64_t x_row_bytes = 0;
  const void* const* x_rows = nullptr;
  DType x_dtype = DType::none;  // f32, f16, bf16; i8 with i8 weights and `dequant`
  Weight w;
  ScaleView scale, offset;      // weight-only; scale present means weight-only
  int64_t group = 0;            // k rows per scale row; 0 = one scale row for all k
  ScaleView dequant;            // int8 x int8: per column f32, f16 or bf16 (stride_n 0 or 1)
  const float* token = nullptr; // int8 x int8: per row, optional
  // Output, exactly one of:
  //  y_rows: row r of value[] stored as y_dtype (f32, f16, bf16; one rounding) at y_rows[r], or y + r * y_row_bytes.
  //  split_leaves: rows of L * n f32, leaf j of column c at j * n + c, not added up.
  void* y = nullptr;
  int64_t y_row_bytes = 0;
  void* const* y_rows = nullptr;
  DType y_dtype = DType::f32;
  bool split_leaves = false;
};

// Adds up the leaves of several expert products per token:
//   leaf_j[m][c] = sum over s (rising order of s) of fma(weight[m][s], in[m][s] leaf j, .) from +0; y = tree(leaves).
struct CombineArgs {
  int64_t m = 0, n = 0;
  int leaves = 8;
  int terms = 0;                         // per row
  const float* const* inputs = nullptr;  // [m * terms] rows of leaves * n f32
  const float* weights = nullptr;        // [m * terms]
  float* const* y_rows = nullptr;        // [m] rows of n f32
};

struct GemmKernels {
  void (*run)(const GemmArgs&, Lane&) = nullptr;
  void (*combine)(const CombineArgs&, Lane&) = nullptr;
};

}  // namespace tandem
