// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "front/atb/self_attention.h"
#include "front/atb/views.h"
#include "tandem/ops/movement.h"

// SelfAttention with a cache (ENCODER): query, key, value, cacheK, cacheV, (mask,) tokenOffset, seqLen, layerId.
namespace tandem::atbfront {
namespace {

constexpr int64_t kColumns = 16;

bool masked(const SelfAttentionParam& param) { return param.maskType == SelfAttentionParam::MASK_TYPE_NORM; }
size_t offset_at(const SelfAttentionParam& param) { return masked(param) ? 6 : 5; }
bool folded(const atb::TensorDesc& cache) { return cache.shape.dimNum == 5; }

// The cache of sequence b as (most, hidden), or of blocks of columns (most, hidden / 16, 16).
TensorView sequence(const TensorView& cache, int64_t b) {
  TensorView own = part_of(cache, 1, b, 1);
  if (cache.rank == 5) {
    return strided(own, {cache.dim(3), cache.dim(2), kColumns}, {kColumns, cache.dim(3) * kColumns, 1});
  }
  return reshaped(own, {cache.dim(2), cache.dim(3)});
}

// Rows of a dense matrix shaped as sequence() shapes the cache's.
TensorView shaped(const TensorView& rows, const TensorView& cache) {
  if (cache.rank == 2) return reshaped(rows, {rows.dim(0), cache.dim(1)});
  return reshaped(rows, {rows.dim(0), cache.dim(1), kColumns});
}

struct Lengths {
  std::vector<int64_t> fresh, all;  // of each sequence: its new tokens, and those of its cache behind them
};

Outcome<Lengths> lengths_of(const SelfAttentionParam& param, const Run& run) {
  const size_t at = offset_at(param);
  const auto count = static_cast<size_t>(dim(run.in_desc(at), 0));
  const auto *all = static_cast<const int32_t*>(run.host(at)), *fresh = static_cast<const int32_t*>(run.host(at + 1));
  if (all == nullptr || fresh == nullptr)
    return refuse(atb::ERROR_INVALID_PARAM, "tokenOffset or seqLen (inputs {} and {}) has no hostData, {} int32 wanted",
                  at, at + 1, count);
  Lengths made{{fresh, fresh + count}, {all, all + count}};
  const int64_t most = folded(run.in_desc(3)) ? run.in(3).dim(3) : run.in(3).dim(2);
  int64_t sum = 0;
  for (size_t i = 0; i < count; ++i) {
    if (made.fresh[i] < 0 || made.fresh[i] > made.all[i] || made.all[i] > most)
      return refuse(atb::ERROR_INVALID_PARAM, "seqLen[{}] is {} and tokenOffset[{}] {}, rising values up to {} wanted",
                    i, made.fresh[i], i, made.all[i], most);
    sum += made.fresh[i];
  }
  if (sum == run.in(0).dim(0)) return made;
  return refuse(atb::ERROR_INVALID_PARAM, "seqLen adds up to {}, the {} tokens of query wanted", sum, run.in(0).dim(0));
}

// The new rows go into the cache; all rows come back dense.
Outcome<TensorView> through_cache(Run& run, size_t index, int64_t b, const TensorView& rows, int64_t all) {
  const TensorView cache = sequence(run.in(index), b), fresh = shaped(rows, cache);
  const auto put = run.add(Copy{fresh, part_of(cache, 0, all - rows.dim(0), rows.dim(0))});
  if (!put) return refuse(put.error());
  if (cache.rank == 2) return part_of(cache, 0, 0, all);
  const TensorView dense = run.scratch(cache.dtype, {all, cache.dim(1), kColumns});
  const auto got = run.add(Copy{part_of(cache, 0, 0, all), dense});
  if (!got) return refuse(got.error());
  return dense;
}

// The mask of sequence b over its heads, in the workspace.
Outcome<TensorView> spread_mask(const SelfAttentionParam& param, Run& run, int64_t b, int64_t fresh, int64_t all) {
  TensorView mask = run.in(5);
  if (mask.rank == 3) mask = part_of(mask, 0, mask.dim(0) > 1 ? b : 0, 1);
  const int64_t most = mask.dim(-1), rows = mask.dim(-2);
  if (all > most || all > rows)
    return refuse(atb::ERROR_INVALID_TENSOR_DIM, "mask is {}, at least [{},{}] wanted", describe(run.in_desc(5)), all,
                  all);
  const TensorView own = part_of(reshaped(mask, {rows, most}), 0, all - fresh, fresh);
  const TensorView wide = run.scratch(mask.dtype, {1, param.headNum, fresh, all});
  const auto made = run.add(Copy{strided(own, {1, param.headNum, fresh, all}, {0, 0, most, 1}), wide});
  if (!made) return refuse(made.error());
  return wide;
}

Outcome<> attend(const SelfAttentionParam& param, Run& run, int64_t b, int64_t first, int64_t fresh, int64_t all) {
  const int64_t width = width_of(run.in_desc(0), param.headNum), heads = kv_heads(param);
  const auto key = through_cache(run, 3, b, run.in(1).rows(first, fresh), all);
  if (!key) return refuse(key.error());
  const auto value = through_cache(run, 4, b, run.in(2).rows(first, fresh), all);
  if (!value) return refuse(value.error());
  FusedInferAttention op = attention_of(param);
  op.order = HeadOrder::bsnd;
  op.query = reshaped(run.in(0).rows(first, fresh), {1, fresh, param.headNum, width});
  op.key = {reshaped(*key, {1, all, heads, width})};
  op.value = {reshaped(*value, {1, all, heads, width})};
  op.y = reshaped(run.out(0).rows(first, fresh), {1, fresh, param.headNum, width});
  if (masked(param)) {
    const auto mask = spread_mask(param, run, b, fresh, all);
    if (!mask) return refuse(mask.error());
    op.pse = *mask;
  }
  return run.add(op);
}

}  // namespace

Arity arity_cached(const SelfAttentionParam& param) { return {masked(param) ? 9u : 8u, 1}; }

Outcome<Descs> infer_cached(const SelfAttentionParam& param, const Descs& in) {
  constexpr std::string_view kNames[] = {"query", "key", "value", "cacheK", "cacheV"};
  Wanted wanted(in);
  wanted.dtype(0, "query", {ACL_FLOAT16, ACL_BF16}).rank(0, "query", 2, 3);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  const int64_t width = width_of(in[0], param.headNum), hidden = width * kv_heads(param);
  for (size_t i = 0; i < 5; ++i) {
    wanted.dtype(i, kNames[i], {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE);
    wanted.rank(i, kNames[i], i < 3 ? 2 : 4, i < 3 ? 3 : 5);
    if (wanted.failed()) return refuse(wanted.outcome().error());
    if (i < 3) {
      const int64_t heads = i == 0 ? param.headNum : kv_heads(param);
      wanted.that(width > 0 && width_of(in[i], heads) == width && dim(in[i], 0) == dim(in[0], 0),
                  atb::ERROR_INVALID_TENSOR_DIM, "{} is {}, the tokens and the width of heads of query {} wanted",
                  kNames[i], describe(in[i]), describe(in[0]));
      continue;
    }
    const int64_t columns = folded(in[i]) ? dim(in[i], 2) * dim(in[i], 4) : dim(in[i], 3);
    wanted.that(dim(in[i], 0) == 1 && columns == hidden && (!folded(in[i]) || dim(in[i], 4) == kColumns),
                atb::ERROR_INVALID_TENSOR_DIM, "{} is {}, one layer of {} columns wanted (others are not offered)",
                kNames[i], describe(in[i]), hidden);
  }
  const size_t at = offset_at(param);
  if (masked(param)) wanted.dtype(5, "mask", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(5, "mask", 2, 3);
  for (const auto& [i, name] : {std::pair{at, "tokenOffset"}, {at + 1, "seqLen"}}) {
    wanted.dtype(i, name, {ACL_INT32}).rank(i, name, 1, 1);
    wanted.that(wanted.failed() || dim(in[i], 0) <= dim(in[3], 1), atb::ERROR_INVALID_TENSOR_DIM,
                "{} is {}, at most the {} sequences of cacheK wanted", name, describe(in[i]), dim(in[3], 1));
  }
  wanted.that(wanted.failed() || dim(in[at], 0) == dim(in[at + 1], 0), atb::ERROR_INVALID_TENSOR_DIM,
              "seqLen is {}, as many as tokenOffset {} wanted", describe(in[at + 1]), describe(in[at]));
  wanted.that(wanted.failed() || !masked(param) || in[5].shape.dimNum == 2 || dim(in[5], 0) == 1 ||
                  dim(in[5], 0) >= dim(in[at], 0),
              atb::ERROR_INVALID_TENSOR_DIM, "mask is {}, one for all or for each sequence wanted",
              masked(param) ? describe(in[5]) : "");
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{in[0]};
}

Outcome<> build_cached(const SelfAttentionParam& param, Run& run) {
  // hostData stands for memory of lengths only, which lie elsewhere in other forms.
  for (size_t i = 3; i < offset_at(param); ++i) {
    if (run.host(i) == nullptr) continue;
    return refuse(atb::ERROR_INVALID_PARAM, "input {} has hostData, none wanted (a cache or a mask)", i);
  }
  const auto lengths = lengths_of(param, run);
  if (!lengths) return refuse(lengths.error());
  int64_t first = 0;
  for (size_t i = 0; i < lengths->fresh.size(); ++i) {
    const int64_t fresh = lengths->fresh[i];
    if (fresh == 0) continue;
    const auto made = attend(param, run, static_cast<int64_t>(i), first, fresh, lengths->all[i]);
    if (!made) return made;
    first += fresh;
  }
  return {};
}

}  // namespace tandem::atbfront
