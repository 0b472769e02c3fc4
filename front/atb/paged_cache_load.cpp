// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "atb/infer_op_params.h"
#include "front/atb/nz.h"
#include "front/atb/operation.h"
#include "front/atb/views.h"
#include "tandem/ops/attention.h"
#include "tandem/ops/movement.h"

// Positions of a paged cache as rows: keyCache, valueCache, blockTables, contextLens, key and value; key and value.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;
using Load = PagedCacheLoadParam;

bool folded(const PagedCacheLoadParam& param) { return param.kvCacheCfg == Load::K_CACHE_V_CACHE_NZ; }

Outcome<> check_load(const PagedCacheLoadParam& param) {
  if (!folded(param) && param.kvCacheCfg != Load::K_CACHE_V_CACHE_ND)
    return refuse(atb::ERROR_INVALID_PARAM, "kvCacheCfg is {}, 0 or 1 wanted", static_cast<int>(param.kvCacheCfg));
  if (param.hasSeqStarts)
    return refuse(atb::ERROR_INVALID_PARAM, "hasSeqStarts is true, false wanted: others are not offered");
  return check_reserved(param.rsv, sizeof(param.rsv));
}

Arity arity_load(const PagedCacheLoadParam&) { return {6, 2}; }

Outcome<Descs> infer_load(const PagedCacheLoadParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "keyCache", {ACL_FLOAT16, ACL_BF16, ACL_INT8}).rank(0, "keyCache", 4, 4);
  wanted.dtype(1, "valueCache", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(1, "valueCache", 4, 4);
  wanted.dtype(2, "blockTables", {ACL_INT32}).rank(2, "blockTables", 2, 2);
  wanted.dtype(3, "contextLens", {ACL_INT32}).rank(3, "contextLens", 1, 1);
  for (const size_t i : {size_t{4}, size_t{5}}) {
    const std::string_view name = i == 4 ? "key" : "value";
    wanted.dtype(i, name, {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(i, name, 2, 3);
    if (wanted.failed()) return refuse(wanted.outcome().error());
    const auto& cache = in[i - 4];
    const uint64_t columns = count_of(in[i]) / std::max<uint64_t>(1, static_cast<uint64_t>(dim(in[i], 0)));
    const uint64_t size = static_cast<uint64_t>(dim(cache, folded(param) ? 2 : 1)), row = count_of(cache);
    wanted.that(row == columns * size * static_cast<uint64_t>(dim(cache, 0)) || row == 0, atb::ERROR_INVALID_TENSOR_DIM,
                "{} is {}, rows as wide as those of the cache {} wanted", name, describe(in[i]), describe(cache));
  }
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{in[4], in[5]};
}

Outcome<> build_load(const PagedCacheLoadParam& param, Run& run) {
  PagedCacheLoad op{.key_cache = run.in(0), .value_cache = run.in(1), .block_table = run.in(2), .context = run.in(3)};
  op.ends = param.isSeqLensCumsumMode;
  for (TensorView* cache : {&op.key_cache, &op.value_cache}) {
    if (folded(param)) *cache = fractions(*cache);
  }
  // Rows that no sequence fills stay what they were.
  for (const size_t i : {size_t{0}, size_t{1}}) {
    if (run.in(4 + i).data == run.out(i).data) continue;
    if (const auto kept = run.add(Copy{run.in(4 + i), run.out(i)}); !kept) return kept;
  }
  const auto rows = [&](size_t i, const TensorView& cache) {
    return reshaped(run.out(i), {run.out(i).dim(0), cache.dim(2), cache.dim(3)});
  };
  op.key = rows(0, op.key_cache);
  op.value = rows(1, op.value_cache);
  return run.add(op);
}

}  // namespace

template <>
const Kind<PagedCacheLoadParam>& kind_of() {
  static constexpr Kind<PagedCacheLoadParam> kKind{"PagedCacheLoadOperation", check_load, arity_load, infer_load,
                                                   build_load};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::PagedCacheLoadParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::PagedCacheLoadParam&);
template Status UpdateOperationParam(Operation*, const infer::PagedCacheLoadParam&);

}  // namespace atb
#pragma GCC visibility pop
