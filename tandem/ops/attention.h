// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/ops/plan.h"
#include "tandem/ops/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// Order of dimensions: bsh query (B, 1, N*D), keys (B, S, Nkv*D); bsnd (B, 1, N, D), (B, S, Nkv, D); bnsd (B, N, 1, D),
// (B, Nkv, S, D); tnd (T, N, D), (T, Nkv, D): the tokens of all sequences one behind the other.
enum class HeadOrder : uint8_t { bsh, bsnd, bnsd, tnd };

// Which positions a query token may see: all; as many as the tokens up to itself, counted from the first position; or
// counted so that the last token of a sequence sees its last position.
enum class Causal : uint8_t { none, left_up, right_down };

// One new token of B sequences: for each head, with the keys and values of its group of query heads,
//   s[t] = scale * (q . k_t) (+ pse[t]), -1e12 instead where mask[t] is not 0; y = softmax(s) @ v over t < length
// key and value: one tensor, or one (1, S, ..) for each sequence, or with block_table (B, blocks of a sequence) a cache
// of (blocks, block_size, ..), bnsd: (blocks, Nkv, block_size, D). A length of 0 gives zeros. int8 caches: (k +
// kv_offset[0]) * kv_scale[0] and [1] for values; (2), or (2, ..) with Nkv * D values each. int8 y: sat8(round half
// even(y * y_scale + y_offset)), one value or N * D of them.
struct IncreFlashAttention {
  TensorView query;
  std::vector<TensorView> key, value;
  TensorView pse, mask, block_table, kv_scale, kv_offset, y_scale, y_offset, y;
  std::vector<int64_t> lengths;     // B, or one for all; none: S
  int64_t heads = 0, kv_heads = 0;  // kv_heads 0: heads
  int64_t block_size = 0;           // 0: that of the cache
  double scale = 1;
  HeadOrder order = HeadOrder::bsh;
};

// As IncreFlashAttention with any number of tokens of each sequence: a token at a position has the bits of a decode
// step there. query_lengths: B, or one for all; none: every token of query; tnd: where each sequence ends (these are
// B). lengths: of keys; tnd without block_table: where each sequence ends. Rows of query past a sequence's length give
// zeros. mask (B or 1, .., tokens, S), pse (B or 1, N, tokens, S); with tnd neither.
struct FusedInferAttention {
  TensorView query;
  std::vector<TensorView> key, value;
  TensorView pse, mask, block_table, kv_scale, kv_offset, y_scale, y_offset, y;
  std::vector<int64_t> query_lengths, lengths;
  int64_t heads = 0, kv_heads = 0;
  int64_t block_size = 0;
  double scale = 1;
  HeadOrder order = HeadOrder::bsh;
  Causal causal = Causal::none;
};

// Writes rows of key and value (tokens, Nkv, D) into slots of caches (blocks, block_size, Nkv, D); a negative slot is
// skipped.
struct ReshapeAndCache {
  TensorView key, value, slot, key_cache, value_cache;
};

// The positions of B sequences out of caches (blocks, block_size, heads, D) and into rows, one sequence behind the other.
// context: positions of each sequence, or with `ends` where it ends. Rows behind the last are left alone.
struct PagedCacheLoad {
  TensorView key_cache, value_cache, block_table, context, key, value;
  bool ends = false;
};

template <>
const OperatorTable<PagedCacheLoad>& table_of<PagedCacheLoad>();
template <>
const OperatorTable<IncreFlashAttention>& table_of<IncreFlashAttention>();
template <>
const OperatorTable<FusedInferAttention>& table_of<FusedInferAttention>();
template <>
const OperatorTable<ReshapeAndCache>& table_of<ReshapeAndCache>();

// Errors of all: null_argument, invalid_argument here; out_of_memory, and invalid_argument for slots and blocks, at
// run.
Expected<Plan> plan(const PagedCacheLoad& op, Device& device);
Expected<Plan> plan(const IncreFlashAttention& op, Device& device);
Expected<Plan> plan(const FusedInferAttention& op, Device& device);
Expected<Plan> plan(const ReshapeAndCache& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
