// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/attention.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tandem/ops/attention_run.h"
#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kName = "incre_flash_attention", kFused = "fused_infer_attention";
constexpr std::string_view kFloats = "f32 f16 bf16";

template <class Op>
constexpr Field<Op> kFields[] = {
    {{"query", Role::input, kFloats, "", "new tokens of each sequence"}, &Op::query},
    {{"key", Role::input, "=query i8", "", "keys"}, nullptr, &Op::key},
    {{"value", Role::input, "=key", "", "values"}, nullptr, &Op::value},
    {{"pse", Role::option, "=query", "", "added to scores: (B or 1, N, tokens, S)"}, &Op::pse},
    {{"mask", Role::option, "u8 i8", "", "positions left out: (B or 1, .., tokens, S)"}, &Op::mask},
    {{"block_table", Role::option, "i32", "b blocks", "blocks of each sequence"}, &Op::block_table},
    {{"kv_scale", Role::option, "f32 f16 bf16", "2 | 2 rest..", "of int8 keys and values"}, &Op::kv_scale},
    {{"kv_offset", Role::option, "=kv_scale", "=kv_scale", "added to int8 keys and values"}, &Op::kv_offset},
    {{"y_scale", Role::option, kFloats, "", "of an int8 y"}, &Op::y_scale},
    {{"y_offset", Role::option, "=y_scale", "=y_scale", "of an int8 y"}, &Op::y_offset},
    {{"y", Role::output, "=query i8", "=query", "results"}, &Op::y},
};
template <class Op>
constexpr Number<Op> kNumbers[] = {
    {"heads", "query heads", &Op::heads, {1, 65536}},
    {"kv_heads", "heads of keys; 0: heads", &Op::kv_heads, {0, 65536}},
    {"block_size", "positions of a block; 0: as the cache has it", &Op::block_size, {0, 9e15}},
    {"scale", "factor of the scores", &Op::scale, {}}};

constexpr Field<ReshapeAndCache> kCache[] = {
    {{"key", Role::input, "f32 f16 bf16 i8", "tokens heads d", "keys of new tokens"}, &ReshapeAndCache::key},
    {{"value", Role::input, "=key", "tokens heads dv", "values of new tokens"}, &ReshapeAndCache::value},
    {{"slot", Role::input, "i32", "tokens", "where each goes"}, &ReshapeAndCache::slot},
    {{"key_cache", Role::inout, "=key", "blocks size heads d", "cache of keys"}, &ReshapeAndCache::key_cache},
    {{"value_cache", Role::inout, "=key", "blocks size heads dv", "cache of values"}, &ReshapeAndCache::value_cache},
};

FusedInferAttention fused_of(const IncreFlashAttention& op) {
  FusedInferAttention all;
  all.query = op.query, all.key = op.key, all.value = op.value, all.pse = op.pse, all.mask = op.mask;
  all.block_table = op.block_table, all.kv_scale = op.kv_scale, all.kv_offset = op.kv_offset;
  all.y_scale = op.y_scale, all.y_offset = op.y_offset, all.y = op.y, all.lengths = op.lengths;
  all.heads = op.heads, all.kv_heads = op.kv_heads, all.block_size = op.block_size;
  all.scale = op.scale, all.order = op.order;
  return all;
}

void check_query(Check& check, const FusedInferAttention& op) {
  const bool flat = op.order == HeadOrder::bsh, ragged = op.order == HeadOrder::tnd;
  const int rank = flat || ragged ? 3 : 4;
  check.rank("query", op.query, rank, rank);
  if (check.failed()) return;
  if (flat) {
    check.that(op.query.dim(2) % op.heads == 0, "query {} does not divide into {} heads", op.query.describe(),
               op.heads);
  } else {
    check.dim("query", op.query, op.order == HeadOrder::bsnd ? 2 : 1, op.heads, "heads");
  }
  const int64_t kv_heads = op.kv_heads == 0 ? op.heads : op.kv_heads;
  check.that(op.heads % kv_heads == 0, "kv_heads is {}, a divisor of heads {} wanted", kv_heads, op.heads);
}

// Ends of the sequences in a tensor of `tokens`; counts otherwise.
void check_tokens(Check& check, const FusedInferAttention& op) {
  if (check.failed()) return;
  const int64_t tokens = op.query.dim(op.order == HeadOrder::bnsd ? 2 : op.order == HeadOrder::tnd ? 0 : 1);
  const bool ragged = op.order == HeadOrder::tnd;
  check.that(!ragged || !op.query_lengths.empty(), "query_lengths are absent, the end of each sequence wanted for tnd");
  const auto count = static_cast<int64_t>(op.query_lengths.size());
  check.that(ragged || count <= 1 || count >= op.query.dim(0), "query_lengths has {} values, 1 or {} wanted", count,
             op.query.dim(0));
  int64_t least = 0;
  for (const int64_t length : op.query_lengths) {
    check.that(length >= least && length <= tokens, "a value of query_lengths is {}, {} to {} wanted", length, least,
               tokens);
    if (ragged) least = length;
  }
  if (check.failed() || !ragged) return;
  check.that(op.query_lengths.back() == tokens, "query_lengths end at {}, {} wanted (the tokens of query)",
             op.query_lengths.back(), tokens);
  check.that(!op.mask.present() && !op.pse.present(), "{} is given, none wanted for tnd",
             op.mask.present() ? "mask" : "pse");
}

void check_cache(Check& check, std::string_view name, const TensorView& cache, const TensorView& first,
                 const AttentionSizes& s) {
  check.rank(name, cache, 3, s.packed() ? 3 : 4);
  if (check.failed()) return;
  check.that(cache.rank == first.rank, "{} is {}, as many dimensions as {} wanted", name, cache.describe(),
             first.describe());
  const bool flat = cache.rank == 3 && !s.packed();
  check.dim(name, cache, -1, flat ? s.kv_heads * s.dim : s.dim, flat ? "kv_heads heads" : "the head of query");
  if (!flat) check.dim(name, cache, s.head_major || s.packed() ? 1 : 2, s.kv_heads, "kv_heads");
  if (!s.packed()) check.dim(name, cache, 0, s.blocks, "the first key");
  check.dim(name, cache, s.head_major ? 2 : s.packed() ? 0 : 1, s.positions, "the first key");
}

void check_caches(Check& check, const FusedInferAttention& op) {
  check.present("key", !op.key.empty()).present("value", !op.value.empty());
  if (check.failed()) return;
  const TensorView& first = op.key.front();
  check.rank("key", first, 3, 4);
  if (check.failed()) return;
  const AttentionSizes s(op);
  for (const TensorView& key : op.key) check_cache(check, "key", key, first, s);
  for (const TensorView& value : op.value) check_cache(check, "value", value, first, s);
  const auto count = static_cast<int64_t>(op.key.size());
  check.that(op.value.size() == op.key.size(), "value has {} tensors, {} wanted (those of key)", op.value.size(),
             count);
  const bool whole = s.packed() ? count == 1 : s.blocks * count == s.batch;
  check.that(s.paged ? count == 1 : whole, "key is {} tensors of {} sequences, {} in all wanted", count, s.blocks,
             s.batch);
  if (!s.paged) return;
  check.dim("block_table", op.block_table, 0, s.batch, "the sequences of query");
  check.that(op.block_size == 0 || op.block_size == s.positions, "block_size is {}, {} wanted (the cache's)",
             op.block_size, s.positions);
  check.that(s.positions > 0, "key is {}, blocks of at least one position wanted", first.describe());
  check.that(!op.lengths.empty(), "lengths are absent, one for each sequence wanted with block_table");
}

void check_lengths(Check& check, const FusedInferAttention& op, const AttentionSizes& s) {
  const auto count = static_cast<int64_t>(op.lengths.size());
  if (s.packed()) {
    check.that(count >= s.batch, "lengths has {} values, the end of each of {} sequences wanted", count, s.batch);
  } else {
    check.that(count <= 1 || count >= s.batch, "lengths has {} values, 1 or {} wanted", count, s.batch);
  }
  int64_t least = 0;
  for (const int64_t length : op.lengths) {
    check.that(length >= least && length <= s.most, "a value of lengths is {}, {} to {} wanted", length, least, s.most);
    if (s.packed()) least = length;
  }
  if (check.failed()) return;
  int64_t longest = 0;
  for (int64_t b = 0; b < s.batch; ++b) longest = std::max(longest, s.length(b));
  if (op.mask.present()) {
    const int64_t columns = op.mask.rank > 0 ? op.mask.dim(-1) : 0;
    const int64_t rows = columns == 0 ? 0 : op.mask.elements() / columns;
    check.that(columns >= longest && (rows == s.tokens || rows == s.batch * s.tokens),
               "mask is {}, ({} or 1, .., {} or more) wanted", op.mask.describe(), s.batch, longest);
  }
  if (!op.pse.present()) return;
  const bool shape = op.pse.rank == 4 && (op.pse.dim(0) == 1 || op.pse.dim(0) == s.batch) && op.pse.dim(1) == s.heads &&
                     op.pse.dim(2) == s.tokens && op.pse.dim(3) >= longest;
  check.that(shape, "pse is {}, ({} or 1, {}, {}, {} or more) wanted", op.pse.describe(), s.batch, s.heads, s.tokens,
             longest);
}

void check_scales(Check& check, const FusedInferAttention& op, const AttentionSizes& s) {
  const bool narrow = op.key.front().dtype == DType::i8;
  check.that(narrow == op.kv_scale.present(), "kv_scale is {} for key {}, one for int8 only wanted",
             op.kv_scale.describe(), op.key.front().describe());
  check.that(!op.kv_offset.present() || op.kv_scale.present(), "kv_scale is absent, one wanted beside kv_offset");
  const int64_t count = op.kv_scale.elements();
  check.that(!narrow || count == 2 || count == 2 * s.kv_heads * s.dim, "kv_scale is {}, [2] or [2,{}] wanted",
             op.kv_scale.describe(), s.kv_heads * s.dim);
  const bool small = op.y.dtype == DType::i8;
  check.that(small == op.y_scale.present(), "y_scale is {} for y {}, one for int8 only wanted", op.y_scale.describe(),
             op.y.describe());
  check.that(!small || op.y_scale.elements() == 1 || op.y_scale.elements() == s.heads * s.dim,
             "y_scale is {}, [1] or [{}] wanted", op.y_scale.describe(), s.heads * s.dim);
}

void check_attention(Check& check, const FusedInferAttention& op) {
  check_query(check, op);
  check_tokens(check, op);
  if (!check.failed()) check_caches(check, op);
  if (check.failed()) return;
  const AttentionSizes s(op);
  check_lengths(check, op, s);
  if (!check.failed()) check_scales(check, op, s);
}

void check_incre(Check& check, const IncreFlashAttention& op) {
  check.that(op.order != HeadOrder::tnd, "order is tnd, bsh, bsnd or bnsd wanted");
  const FusedInferAttention all = fused_of(op);
  check_query(check, all);
  if (check.failed()) return;
  const int tokens = op.order == HeadOrder::bnsd ? 2 : 1;
  check.that(op.query.dim(tokens) == 1, "query {} has {} tokens of a sequence, 1 wanted", op.query.describe(),
             op.query.dim(tokens));
  if (!check.failed()) check_attention(check, all);
}

Status run_attention(const FusedInferAttention& op, Work& work) { return attend(kFused, op, work); }
Status run_incre(const IncreFlashAttention& op, Work& work) { return attend(kName, fused_of(op), work); }

Status run_cache(const ReshapeAndCache& op, Work&) {
  const int64_t slots = op.key_cache.dim(0) * op.key_cache.dim(1), tokens = op.slot.elements();
  const auto* slot = op.slot.as<const int32_t>();
  for (int64_t i = 0; i < tokens; ++i) {
    if (slot[i] < slots) continue;
    return fail(ErrorCode::invalid_argument,
                fmt::format("reshape_and_cache: slot[{}] is {}, a value below {} wanted", i, slot[i], slots));
  }
  for (const auto& [from, to] : {std::pair{&op.key, &op.key_cache}, {&op.value, &op.value_cache}}) {
    const int64_t n = from->dim(1) * from->dim(2);
    for (int64_t i = 0; i < tokens; ++i) {
      if (slot[i] < 0 || n == 0) continue;
      std::memcpy(row_of(*to, slot[i], n), row_of(*from, i, n), static_cast<size_t>(row_bytes(from->dtype, n)));
    }
  }
  return {};
}

}  // namespace

template <>
const OperatorTable<IncreFlashAttention>& table_of<IncreFlashAttention>() {
  static constexpr OperatorTable<IncreFlashAttention> kTable{kName,
                                                             "y = softmax(scale * q @ k^T + pse) @ v",
                                                             kFields<IncreFlashAttention>,
                                                             kNumbers<IncreFlashAttention>,
                                                             check_incre,
                                                             run_incre};
  return kTable;
}

template <>
const OperatorTable<FusedInferAttention>& table_of<FusedInferAttention>() {
  static constexpr OperatorTable<FusedInferAttention> kTable{kFused,
                                                             "y = softmax(scale * q @ k^T + pse) @ v",
                                                             kFields<FusedInferAttention>,
                                                             kNumbers<FusedInferAttention>,
                                                             check_attention,
                                                             run_attention};
  return kTable;
}

template <>
const OperatorTable<ReshapeAndCache>& table_of<ReshapeAndCache>() {
  static constexpr OperatorTable<ReshapeAndCache> kTable{
      "reshape_and_cache", "cache[slot[i]] = key[i]", kCache, {}, nullptr, run_cache};
  return kTable;
}

Expected<Plan> plan(const IncreFlashAttention& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const FusedInferAttention& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const ReshapeAndCache& op, Device&) { return plan_single(op); }

}  // namespace tandem
