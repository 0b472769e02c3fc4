// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "front/atb/self_attention.h"
#include "front/atb/views.h"
#include "tandem/ops/movement.h"

// SelfAttention over whole prompts (PA_ENCODER): the tokens of all sequences lie one behind the other.
namespace tandem::atbfront {

int64_t kv_heads(const SelfAttentionParam& param) { return param.kvHeadNum == 0 ? param.headNum : param.kvHeadNum; }

int64_t width_of(const atb::TensorDesc& desc, int64_t heads) {
  if (desc.shape.dimNum == 3) return dim(desc, 1) == heads ? dim(desc, 2) : 0;
  return dim(desc, 1) % heads == 0 ? dim(desc, 1) / heads : 0;
}

FusedInferAttention attention_of(const SelfAttentionParam& param) {
  FusedInferAttention op;
  op.heads = param.headNum;
  op.kv_heads = kv_heads(param);
  op.scale = static_cast<double>(param.qScale) * static_cast<double>(param.qkScale);
  return op;
}

namespace {

using namespace atb::infer;
using Self = SelfAttentionParam;

bool cached(const SelfAttentionParam& param) { return param.calcType == Self::ENCODER; }
// A mask whose values are read; compressed and causal ones are all the same triangle.
bool given_mask(const SelfAttentionParam& param) { return param.maskType == Self::MASK_TYPE_NORM; }
bool has_mask(const SelfAttentionParam& param) {
  return given_mask(param) || param.maskType == Self::MASK_TYPE_NORM_COMPRESS;
}

Outcome<> check_self(const SelfAttentionParam& param) {
  if (param.calcType != Self::PA_ENCODER && !cached(param))
    return refuse(atb::ERROR_INVALID_PARAM,
                  "calcType is {}, 1 (ENCODER) or 3 (PA_ENCODER) wanted: others are not offered",
                  static_cast<int>(param.calcType));
  if (param.headNum <= 0 || kv_heads(param) <= 0 || param.headNum % kv_heads(param) != 0)
    return refuse(atb::ERROR_INVALID_PARAM, "headNum {} and kvHeadNum {}, a positive multiple wanted", param.headNum,
                  param.kvHeadNum);
  if (!has_mask(param) && param.maskType != Self::MASK_TYPE_UNDEFINED && param.maskType != Self::MASK_TYPE_CAUSAL_MASK)
    return refuse(atb::ERROR_INVALID_PARAM, "maskType is {}, 0, 1, 3 or 9 wanted", static_cast<int>(param.maskType));
  if (cached(param) && param.maskType != Self::MASK_TYPE_UNDEFINED && !given_mask(param))
    return refuse(atb::ERROR_INVALID_PARAM, "maskType is {}, 0 or 1 wanted (ENCODER)",
                  static_cast<int>(param.maskType));
  const struct {
    const char* name;
    int value;
  } zeros[] = {{"quantType", param.quantType},     {"clampType", param.clampType},
               {"kvcacheCfg", param.kvcacheCfg},   {"scaleType", param.scaleType},
               {"inputLayout", param.inputLayout}, {"mlaVHeadSize", static_cast<int>(param.mlaVHeadSize)},
               {"cacheType", param.cacheType},     {"batchRunStatusEnable", param.batchRunStatusEnable}};
  for (const auto& one : zeros) {
    if (one.value != 0)
      return refuse(atb::ERROR_INVALID_PARAM, "{} is {}, 0 wanted: others are not offered", one.name, one.value);
  }
  return {};
}

Arity arity_self(const SelfAttentionParam& param) {
  if (cached(param)) return arity_cached(param);
  return {has_mask(param) ? 5u : 4u, 1};
}
size_t lengths_at(const SelfAttentionParam& param) { return has_mask(param) ? 4 : 3; }

Outcome<Descs> infer_self(const SelfAttentionParam& param, const Descs& in) {
  if (cached(param)) return infer_cached(param, in);
  constexpr std::string_view kNames[] = {"query", "key", "value"};
  Wanted wanted(in);
  wanted.dtype(0, "query", {ACL_FLOAT16, ACL_BF16});
  for (size_t i = 0; i < 3; ++i) {
    wanted.dtype(i, kNames[i], {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(i, kNames[i], 2, 3);
    if (wanted.failed()) return refuse(wanted.outcome().error());
    const int64_t heads = i == 0 ? param.headNum : kv_heads(param), width = width_of(in[i], heads);
    wanted.that(width > 0 && width == width_of(in[0], param.headNum), atb::ERROR_INVALID_TENSOR_DIM,
                "{} is {}, {} heads as wide as those of query {} wanted", kNames[i], describe(in[i]), heads,
                describe(in[0]));
  }
  wanted.dtype(lengths_at(param), "seqLen", {ACL_INT32}).rank(lengths_at(param), "seqLen", 1, 1);
  if (given_mask(param)) wanted.dtype(3, "mask", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(3, "mask", 2, 3);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{in[0]};
}

Outcome<std::vector<int64_t>> lengths_of(const SelfAttentionParam& param, const Run& run) {
  const size_t index = lengths_at(param);
  const auto* host = static_cast<const int32_t*>(run.host(index));
  const auto count = static_cast<size_t>(dim(run.in_desc(index), 0));
  if (host == nullptr)
    return refuse(atb::ERROR_INVALID_PARAM, "seqLen (input {}) has no hostData, {} int32 wanted", index, count);
  std::vector<int64_t> lengths(host, host + count);
  const int64_t tokens = run.in(0).dim(0);
  int64_t sum = 0;
  for (const int64_t length : lengths) sum += length < 0 ? tokens + 1 : length;
  if (sum == tokens && run.in(1).dim(0) >= tokens && run.in(2).dim(0) >= tokens) return lengths;
  return refuse(atb::ERROR_INVALID_PARAM, "seqLen adds up to {}, the {} tokens of query, key and value wanted", sum,
                tokens);
}

Outcome<> build_packed(const SelfAttentionParam& param, Run& run, const std::vector<int64_t>& lengths) {
  FusedInferAttention op = attention_of(param);
  const int64_t tokens = run.in(0).dim(0), width = width_of(run.in_desc(0), param.headNum);
  op.order = HeadOrder::tnd;
  op.query = reshaped(run.in(0), {tokens, param.headNum, width});
  op.key = {reshaped(run.in(1).rows(0, tokens), {tokens, op.kv_heads, width})};
  op.value = {reshaped(run.in(2).rows(0, tokens), {tokens, op.kv_heads, width})};
  op.y = reshaped(run.out(0), {tokens, param.headNum, width});
  op.query_lengths = lengths;
  std::partial_sum(lengths.begin(), lengths.end(), op.query_lengths.begin());
  op.lengths = op.query_lengths;
  if (param.maskType != Self::MASK_TYPE_UNDEFINED) op.causal = Causal::left_up;
  return run.add(op);
}

// Sequence by sequence, with the mask added to the scores of every head.
Outcome<> build_masked(const SelfAttentionParam& param, Run& run, const std::vector<int64_t>& lengths) {
  const TensorView mask = run.in(3);
  const int64_t width = width_of(run.in_desc(0), param.headNum), most = mask.dim(-1);
  const int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  const bool each = mask.rank == 3 && mask.dim(0) > 1;
  if ((longest > 0 && mask.elements() == 0) || longest > most || longest > mask.dim(-2) ||
      (each && mask.dim(0) < std::ssize(lengths)))
    return refuse(atb::ERROR_INVALID_TENSOR_DIM, "mask is {}, one of [{},{}] or more for every sequence wanted",
                  describe(run.in_desc(3)), longest, longest);
  const TensorView wide = run.scratch(mask.dtype, {1, param.headNum, longest, longest});
  int64_t first = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t length = lengths[i];
    if (length == 0) continue;
    TensorView own = strided(mask, {1, param.headNum, length, length}, {0, 0, most, 1});
    if (each && own.data != nullptr)
      own.data = mask.as<char>() + static_cast<int64_t>(i) * mask.step(0) * dtype_bits(mask.dtype) / 8;
    FusedInferAttention op = attention_of(param);
    op.order = HeadOrder::bsnd;
    op.pse = reshaped(wide, {1, param.headNum, length, length});
    op.query = reshaped(run.in(0).rows(first, length), {1, length, param.headNum, width});
    op.key = {reshaped(run.in(1).rows(first, length), {1, length, op.kv_heads, width})};
    op.value = {reshaped(run.in(2).rows(first, length), {1, length, op.kv_heads, width})};
    op.y = reshaped(run.out(0).rows(first, length), {1, length, param.headNum, width});
    if (const auto copied = run.add(Copy{own, op.pse}); !copied) return copied;
    if (const auto added = run.add(op); !added) return added;
    first += length;
  }
  return {};
}

Outcome<> build_self(const SelfAttentionParam& param, Run& run) {
  if (cached(param)) return build_cached(param, run);
  const auto lengths = lengths_of(param, run);
  if (!lengths) return refuse(lengths.error());
  return given_mask(param) ? build_masked(param, run, *lengths) : build_packed(param, run, *lengths);
}

}  // namespace

template <>
const Kind<SelfAttentionParam>& kind_of() {
  // Lengths are input 3, or 4 behind a mask; with a cache 5 and 6, or 6 and 7.
  static constexpr Kind<SelfAttentionParam> kKind{"SelfAttentionOperation",
                                                  check_self,
                                                  arity_self,
                                                  infer_self,
                                                  build_self,
                                                  1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::SelfAttentionParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::SelfAttentionParam&);
template Status UpdateOperationParam(Operation*, const infer::SelfAttentionParam&);

}  // namespace atb
#pragma GCC visibility pop
