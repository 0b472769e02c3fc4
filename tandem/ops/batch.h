// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/ops/product.h"

// Batches of products whose leading dimensions broadcast. Internal to ops.
namespace tandem {

// a (batch.., m, k), b (batch.., k, n), y (batch.., m, n): vectors already are matrices.
struct Batch {
  TensorView a, b, y;
  int64_t m = 0, k = 0, n = 0, count = 1;
  int64_t panel = 0;  // of b: kPanel where its memory holds pack_weight() panels, matrix behind matrix

  // Elements from the start of `view` to its matrix of product `index`; 0 where it has none.
  int64_t offset(const TensorView& view, int64_t index) const;
  Weight weight(int64_t index) const;
};

// The three operands as matrices; vectors get their missing dimension.
Batch batch_of(const TensorView& a, const TensorView& b, const TensorView& y, int64_t panel = 0);
// Ranks, k, and that y is what a and b give.
void check_batch(Check& check, std::string_view a_name, const TensorView& a, std::string_view b_name,
                 const TensorView& b, const TensorView& y);
// What a weight in panels may look like: rows of n, or columns of k in the memory of a transposed one.
void check_panel(Check& check, std::string_view name, const TensorView& b, int64_t panel);
// Makes a and b readable by the kernels (a copy where strides want one); with `fold`, batches of a become rows where b
// is shared. False when memory was refused.
bool settle(Batch& batch, bool fold, Lane& lane);
// body(product) for every product of the batch, its operands and sizes filled in; y rows of y_dtype at y.
template <class Body>
Status for_products(const Batch& batch, Body&& body) {
  for (int64_t index = 0; index < batch.count; ++index) {
    Product product;
    product.m = batch.m;
    product.n = batch.n;
    product.k = batch.k;
    product.x_dtype = batch.a.dtype;
    product.x_row_bytes = row_bytes(batch.a.dtype, batch.k);
    product.x = batch.a.as<const char>() + row_bytes(batch.a.dtype, batch.offset(batch.a, index));
    product.w = batch.weight(index);
    product.y_dtype = batch.y.dtype;
    product.y = row_of(batch.y, index, batch.m * batch.n);
    if (auto status = body(product); !status) return status;
  }
  return {};
}

}  // namespace tandem
