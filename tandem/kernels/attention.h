// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"

// Causal attention over a paged KV cache, grouped queries. Row r sees positions 0 .. lengths[r]-1 of its sequence.
//
//   s[t] = fl32(dot(q, k_t) * scale) (+ bias[t]; -1e12 where mask[t]); dot: 16 virtual lanes over the head dimension
//          (lane i takes i, i+16, .., fma, rising, from +0), lanes by tree()
//   chunks of 256 positions counted from position 0; in a chunk m = max s, p[t] = exp(s[t] - m) in f32, l = p added in
//   rising t from +0, a[d] = fma(p[t], v_t[d], a[d]) in rising t from +0; differences to a max of -inf count from 0
//   two chunks merge as M = max(ma, mb), ea = exp(ma - M), eb = exp(mb - M), l = fma(la, ea, fl32(lb * eb)),
//   a = fma(aa, ea, fl32(ab * eb)); chunks by tree(); y = rd_T(a / l)
namespace tandem {

struct PagedAttentionArgs {
  int64_t rows = 0, query_heads = 0, kv_heads = 0, head_dim = 0;  // heads of this rank; query_heads % kv_heads == 0
  const void* query = nullptr;   // row r, head a at query + r * query_row_bytes + a * head_dim elements
  int64_t query_row_bytes = 0;
  void* y = nullptr;             // same layout
  int64_t y_row_bytes = 0;
  DType dtype = DType::none;     // query, cache and y: f32, f16, bf16
  // Block b of a cache: [block_size][kv_heads][head_dim].
  const void* key_cache = nullptr;
  const void* value_cache = nullptr;
  int64_t block_size = 0;
  // [rows] pointer to the block table of the row's sequence. Neighbours with one pointer share the passes over the cache.
  const int32_t* const* block_tables = nullptr;
  const int64_t* lengths = nullptr;              // [rows]
  float scale = 1;
  const float* const* bias = nullptr;            // [rows * query_heads] pointers to a value for each position; optional
  const uint8_t* const* mask = nullptr;          // [rows] pointers to a byte for each position; optional
  DType cache_dtype = DType::none;       // i8, or none: that of the query
  const float* cache_scale = nullptr;    // i8: x = fl32(fl32(x + shift) * scale), [2][kv_heads * head_dim]: keys, values
  const float* cache_shift = nullptr;    // optional
};

struct AttentionKernels {
  void (*paged)(const PagedAttentionArgs&, Lane&) = nullptr;
};

}  // namespace tandem
