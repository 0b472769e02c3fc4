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
// int8 activations with int8 or int4 weights, sums exact in int32:
//   dequant:       leaf = fl32(fl32(sum of the leaf) * dequant[c]), then * token[m] where given.
//   scale, group:  per run of k with one scale row, cut at leaf borders: leaf = fma(fl32(sum of the run), scale, leaf)
//                  from +0; at the end of the leaf * token[m] where given.
//   neither:       the plain int32 sum of the whole k, wrapping, stored as y_dtype i32 (leaves == 1).
//
// Bits depend on k, L, the group and the operands alone: not on m, threads, layout or instruction set.
//
// fast (weight-only int8 and int4 with activations f32, f16, bf16): activations are rounded to 16-bit integers per
// (row, run of k) and summed exactly in integers; docs/numerics.md says what that costs. The same bits between runs,
// batches and rank counts, but not the bits of exact.
namespace tandem {

enum class Math : uint8_t { exact, fast };

// Where element (kk, c) of a (k, n) weight lies, counted in elements from data:
//   panel == 0: kk * stride_k + c * stride_n       (one stride is 1)
//   panel == P: (c / P) * k * P + kk * P + c % P   (packed panels of P = kPanel columns, padded to whole panels)
// Packed int4 differs inside a row of a panel (kPanel / 2 bytes, little-endian words of 32 bits): column c % P sits in
// word c % 8, nibble (c % P) / 8, stored as w + 8, so that one mask and shift of a word vector gives columns in order.
// Padding holds zeros (w = 0, so 8 in int4).
struct Weight {
  const void* data = nullptr;
  DType dtype = DType::none;
  int64_t stride_k = 0;
  int64_t stride_n = 0;
  int64_t panel = 0;
};
inline constexpr int64_t kPanel = 64;

// Index of element (kk, c), in nibbles for int4.
[[gnu::always_inline]] constexpr int64_t weight_index(const Weight& w, int64_t k, int64_t kk, int64_t c) {
  if (w.panel == 0) return kk * w.stride_k + c * w.stride_n;
  const int64_t column = c % w.panel;
  const int64_t place = w.dtype == DType::i4 ? column % 8 * 8 + column / 8 : column;
  return c / w.panel * k * w.panel + kk * w.panel + place;
}

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
  DType x_dtype = DType::none;  // f32, f16, bf16; i8 with i8 or i4 weights
  Weight w;
  ScaleView scale, offset;      // weight-only; scale present means weight-only (or int8 activations, no offset)
  int64_t group = 0;            // k rows per scale row; 0 = one scale row for all k
  ScaleView dequant;            // int8 x int8: per column f32, f16 or bf16 (stride_n 0 or 1)
  const float* token = nullptr; // int8 x int8: per row, optional
  Math math = Math::exact;
  // Output, exactly one of:
  //  y_rows: row r of value[] stored as y_dtype (f32, f16, bf16; one rounding; i32 see above) at y_rows[r], or y + r * y_row_bytes.
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
  // Independent products (the experts of a layer) as one piece of work: the bits of `run` on each.
  void (*run_group)(const GemmArgs* products, int64_t count, Lane&) = nullptr;
  void (*combine)(const CombineArgs&, Lane&) = nullptr;
};

}  // namespace tandem
