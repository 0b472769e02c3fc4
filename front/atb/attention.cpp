// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/attention.h"

#include <algorithm>
#include <memory>

#include "atb/infer_op_params.h"
#include "front/aclnn/status.h"
#include "front/atb/nz.h"
#include "front/atb/operation.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/movement.h"
#include "tandem/ops/rope.h"

// Attention over a paged cache, the writing of the cache, and rotary embedding.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;
using Paged = PagedAttentionParam;

const std::initializer_list<aclDataType> kHalves = {ACL_FLOAT16, ACL_BF16};

// --- PagedAttention

Outcome<> check_paged(const PagedAttentionParam& param) {
  const int kv = param.kvHeadNum == 0 ? param.headNum : param.kvHeadNum;
  if (param.headNum <= 0 || kv <= 0 || param.headNum % kv != 0)
    return refuse(atb::ERROR_INVALID_PARAM, "headNum {} and kvHeadNum {}, a positive multiple wanted", param.headNum,
                  param.kvHeadNum);
  if (param.maskType != Paged::UNDEFINED && param.maskType != Paged::MASK_TYPE_NORM &&
      param.maskType != Paged::MASK_TYPE_ALIBI)
    return refuse(atb::ERROR_INVALID_PARAM, "maskType is {}, 0 to 2 wanted", static_cast<int>(param.maskType));
  const struct {
    const char* name;
    int value;
  } zeros[] = {{"quantType", param.quantType},
               {"compressType", param.compressType},
               {"calcType", param.calcType},
               {"scaleType", param.scaleType},
               {"inputLayout", param.inputLayout},
               {"mlaVHeadSize", static_cast<int>(param.mlaVHeadSize)},
               {"batchRunStatusEnable", param.batchRunStatusEnable},
               {"hasQuantOffset", param.hasQuantOffset}};
  for (const auto& one : zeros) {
    if (one.value != 0)
      return refuse(atb::ERROR_INVALID_PARAM, "{} is {}, 0 wanted: others are not offered", one.name, one.value);
  }
  return {};
}

Arity arity_paged(const PagedAttentionParam& param) { return {param.maskType == Paged::UNDEFINED ? 5u : 6u, 1}; }
int64_t kv_heads(const PagedAttentionParam& param) { return param.kvHeadNum == 0 ? param.headNum : param.kvHeadNum; }

Outcome<Descs> infer_paged(const PagedAttentionParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "query", kHalves).rank(0, "query", 3, 3).dim(0, "query", 1, param.headNum);
  for (const size_t cache : {size_t{1}, size_t{2}}) {
    const std::string_view name = cache == 1 ? "keyCache" : "valueCache";
    wanted.dtype(cache, name, {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(cache, name, 4, 4);
  }
  wanted.dtype(3, "blockTables", {ACL_INT32}).rank(3, "blockTables", 2, 2);
  if (!wanted.failed()) wanted.dim(3, "blockTables", 0, dim(in[0], 0));
  wanted.dtype(4, "contextLens", {ACL_INT32}).rank(4, "contextLens", 1, 1);
  if (!wanted.failed()) wanted.dim(4, "contextLens", 0, dim(in[0], 0));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{in[0]};
}

// A cache as (blocks, block size, heads, D).
Outcome<TensorView> cache_of(Run& run, size_t index, int64_t heads) {
  const TensorView cache = run.in(index);
  if (!in_fractions(run.in_desc(index))) return cache;
  const int64_t columns = cache.dim(1) * cache.dim(3);
  if (columns % heads != 0)
    return refuse(atb::ERROR_INVALID_TENSOR_DIM, "cache has {} columns, those of {} heads wanted", columns, heads);
  const auto dense = unfolded(run, cache);
  if (!dense) return refuse(dense.error());
  return reshaped(*dense, {cache.dim(0), cache.dim(2), heads, columns / heads});
}

// Added to the scores: (B, N, 1, S). (B, 1, S) and (1, S) are one for all heads.
Outcome<TensorView> mask_of(const PagedAttentionParam& param, Run& run) {
  const TensorView mask = run.in(5);
  const int64_t batch = run.in(0).dim(0), heads = param.headNum, most = mask.dim(-1);
  const int64_t rows = mask.elements() / std::max<int64_t>(most, 1);
  if (rows == batch * heads || (rows == heads && param.maskType == Paged::MASK_TYPE_ALIBI))
    return reshaped(mask, {rows / heads, heads, 1, most});
  if (rows != batch && rows != 1)
    return refuse(atb::ERROR_INVALID_TENSOR_DIM, "mask is {}, 1, {} or {} rows wanted", describe(run.in_desc(5)), batch,
                  batch * heads);
  const TensorView wide = run.scratch(mask.dtype, {batch, heads, 1, most});
  const auto copied = run.add(Copy{strided(mask, {batch, heads, 1, most}, {rows == 1 ? 0 : most, 0, most, 1}), wide});
  if (!copied) return refuse(copied.error());
  return wide;
}

Outcome<> build_paged(const PagedAttentionParam& param, Run& run) {
  const TensorView query = run.in(0), out = run.out(0);
  const int64_t batch = query.dim(0), heads = query.dim(1), width = query.dim(2);
  const auto* lengths = static_cast<const int32_t*>(run.host(4));
  if (lengths == nullptr)
    return refuse(atb::ERROR_INVALID_PARAM, "contextLens (input 4) has no hostData, {} int32 wanted", batch);
  const auto key = cache_of(run, 1, kv_heads(param));
  if (!key) return refuse(key.error());
  const auto value = cache_of(run, 2, kv_heads(param));
  if (!value) return refuse(value.error());
  IncreFlashAttention op;
  op.query = reshaped(query, {batch, 1, heads, width});
  op.key = {*key};
  op.value = {*value};
  op.block_table = run.in(3);
  op.lengths.assign(lengths, lengths + batch);
  op.heads = heads;
  op.kv_heads = kv_heads(param);
  op.scale = param.qkScale;
  op.order = HeadOrder::bsnd;
  op.y = reshaped(out, {batch, 1, heads, width});
  if (param.maskType != Paged::UNDEFINED) {
    const auto mask = mask_of(param, run);
    if (!mask) return refuse(mask.error());
    op.pse = *mask;
  }
  return run.add(op);
}

// --- ReshapeAndCache

bool key_only(const ReshapeAndCacheParam& param) { return param.kvCacheCfg == ReshapeAndCacheParam::K_CACHE_V_BYPASS; }

Outcome<> check_cache(const ReshapeAndCacheParam& param) {
  if (param.compressType != ReshapeAndCacheParam::COMPRESS_TYPE_UNDEFINED)
    return refuse(atb::ERROR_INVALID_PARAM, "compressType is {}, 0 wanted: others are not offered",
                  static_cast<int>(param.compressType));
  if (param.kvCacheCfg < ReshapeAndCacheParam::K_CACHE_V_CACHE ||
      param.kvCacheCfg > ReshapeAndCacheParam::K_CACHE_V_CACHE_NZ)
    return refuse(atb::ERROR_INVALID_PARAM, "kvCacheCfg is {}, 0 to 2 wanted", static_cast<int>(param.kvCacheCfg));
  return {};
}

Arity arity_cache(const ReshapeAndCacheParam& param) { return key_only(param) ? Arity{3, 1} : Arity{5, 2}; }

bool folded(const ReshapeAndCacheParam& param, const atb::TensorDesc& cache) {
  return param.kvCacheCfg == ReshapeAndCacheParam::K_CACHE_V_CACHE_NZ || in_fractions(cache);
}

Outcome<Descs> infer_cache(const ReshapeAndCacheParam& param, const Descs& in) {
  const size_t count = key_only(param) ? 1 : 2, slot = 2 * count;
  Wanted wanted(in);
  for (size_t i = 0; i < count; ++i) {
    const std::string_view rows = i == 0 ? "key" : "value", cache = i == 0 ? "keyCache" : "valueCache";
    wanted.dtype(i, rows, {ACL_FLOAT16, ACL_BF16, ACL_INT8}).rank(i, rows, 3, 3);
    wanted.dtype(count + i, cache, {in[i].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(count + i, cache, 4, 4);
  }
  wanted.dtype(slot, "slots", {ACL_INT32}).rank(slot, "slots", 1, 1);
  if (!wanted.failed()) wanted.dim(slot, "slots", 0, dim(in[0], 0));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return key_only(param) ? Descs{in[1]} : Descs{in[2], in[3]};
}

// The cache of an output as the operator wants it, first made equal to the input where it is other memory.
Outcome<TensorView> cache_to_fill(const ReshapeAndCacheParam& param, Run& run, size_t input, size_t output) {
  const TensorView from = run.in(input), to = run.out(output);
  if (from.data != to.data) {
    if (const auto copied = run.add(Copy{from, to}); !copied) return refuse(copied.error());
  }
  return folded(param, run.in_desc(input)) ? fractions(to) : to;
}

// Slots behind the cache are nobody's memory: rows for them are left out, as those of negative slots are. Strictly they
// are an error of the operator.
struct Slots final : Plan::Body {
  TensorView from, to;
  int64_t count = 0;

  size_t workspace_bytes() const override { return 0; }
  std::string_view name() const override { return "slots"; }
  std::string describe() const override { return from.describe(); }
  Status execute(std::span<std::byte>, Lane&) const override {
    const auto* given = from.as<const int32_t>();
    const auto kept = [&](int32_t slot) { return slot < count ? slot : -1; };
    std::transform(given, given + from.elements(), to.as<int32_t>(), kept);
    return {};
  }
};

TensorView slots_of(Run& run, size_t index, const TensorView& cache) {
  if (front::strict()) return run.in(index);
  auto body = std::make_shared<Slots>();
  body->from = run.in(index);
  body->to = run.scratch_like(body->from, DType::i32);
  body->count = cache.dim(0) * cache.dim(1);
  run.plans.push_back(Plan(body));
  return body->to;
}

// New rows beside a cache (blocks, positions, heads, D).
TensorView rows_for(const TensorView& rows, const TensorView& cache) {
  const int64_t columns = rows.dim(1) * rows.dim(2);
  if (cache.dim(3) == 0 || columns != cache.dim(2) * cache.dim(3)) return rows;
  return reshaped(rows, {rows.dim(0), cache.dim(2), cache.dim(3)});
}

Outcome<> build_cache(const ReshapeAndCacheParam& param, Run& run) {
  const size_t count = key_only(param) ? 1 : 2;
  const auto key = cache_to_fill(param, run, count, 0);
  if (!key) return refuse(key.error());
  const TensorView key_rows = rows_for(run.in(0), *key);
  // Without values the keys are written twice, to the same place.
  ReshapeAndCache op{key_rows, key_rows, slots_of(run, 2 * count, *key), *key, *key};
  if (count == 2) {
    const auto value = cache_to_fill(param, run, 3, 1);
    if (!value) return refuse(value.error());
    op.value = rows_for(run.in(1), *value);
    op.value_cache = *value;
  }
  return run.add(op);
}

// --- Rope: cos and sin have a row for each token, so the lengths of sequences say nothing more.

Outcome<> check_rope(const RopeParam& param) {
  const bool even = param.rotaryCoeff >= 16 && param.rotaryCoeff <= 4096 && param.rotaryCoeff % 2 == 0;
  if (param.rotaryCoeff != 2 && param.rotaryCoeff != 4 && !even)
    return refuse(atb::ERROR_INVALID_PARAM, "rotaryCoeff is {}, 2, 4 or the columns of a head wanted",
                  param.rotaryCoeff);
  if (param.cosFormat == 0) return {};
  return refuse(atb::ERROR_INVALID_PARAM, "cosFormat is {}, 0 wanted", param.cosFormat);
}

Arity arity_rope(const RopeParam&) { return {5, 2}; }

Outcome<Descs> infer_rope(const RopeParam&, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "query", kHalves).rank(0, "query", 2, 4);
  wanted.dtype(1, "key", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(1, "key", 2, 4);
  wanted.dtype(2, "cos", {ACL_FLOAT, ACL_FLOAT16, ACL_BF16}).rank(2, "cos", 2, 4);
  wanted.dtype(3, "sin", {in[2].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).shape(3, "sin", in[2]);
  wanted.dtype(4, "seqLen", {ACL_INT32, ACL_UINT32});
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{in[0], in[1]};
}

// A table in the element type of the activations.
Outcome<TensorView> angles_of(Run& run, size_t index, DType dtype) {
  const TensorView table = run.in(index);
  if (table.dtype == dtype) return table;
  const TensorView rounded = run.scratch_like(table, dtype);
  if (const auto cast = run.add(Cast{table, rounded}); !cast) return refuse(cast.error());
  return rounded;
}

Outcome<> build_rope(const RopeParam& param, Run& run) {
  const TensorView query = run.in(0), key = run.in(1), query_out = run.out(0), key_out = run.out(1);
  for (const auto& [from, to] : {std::pair(query, query_out), std::pair(key, key_out)}) {
    if (from.data == to.data && from.data != nullptr) continue;
    if (const auto copied = run.add(Copy{from, to}); !copied) return copied;
  }
  const auto cos = angles_of(run, 2, query.dtype);
  if (!cos) return refuse(cos.error());
  const auto sin = angles_of(run, 3, query.dtype);
  if (!sin) return refuse(sin.error());
  Rope op{.query = query_out, .key = key_out, .cos = *cos, .sin = *sin};
  if (param.rotaryCoeff == 4) op.form = RopeForm::quarter;
  if (param.rotaryCoeff > 4) op.form = RopeForm::interleave;
  return run.add(op);
}

constexpr uint32_t kFifth = 1u << 4;

}  // namespace

template <>
const Kind<PagedAttentionParam>& kind_of() {
  static constexpr Kind<PagedAttentionParam> kKind{
      "PagedAttentionOperation", check_paged, arity_paged, infer_paged, build_paged, kFifth};
  return kKind;
}
template <>
const Kind<ReshapeAndCacheParam>& kind_of() {
  static constexpr Kind<ReshapeAndCacheParam> kKind{"ReshapeAndCacheOperation", check_cache, arity_cache, infer_cache,
                                                    build_cache};
  return kKind;
}
template <>
const Kind<RopeParam>& kind_of() {
  static constexpr Kind<RopeParam> kKind{"RopeOperation", check_rope, arity_rope, infer_rope, build_rope, kFifth};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::PagedAttentionParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::PagedAttentionParam&);
template Status UpdateOperationParam(Operation*, const infer::PagedAttentionParam&);
template Status CreateOperation(const infer::ReshapeAndCacheParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::ReshapeAndCacheParam&);
template Status UpdateOperationParam(Operation*, const infer::ReshapeAndCacheParam&);
template Status CreateOperation(const infer::RopeParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::RopeParam&);
template Status UpdateOperationParam(Operation*, const infer::RopeParam&);

}  // namespace atb
#pragma GCC visibility pop
