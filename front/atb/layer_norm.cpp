// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "atb/infer_op_params.h"
#include "atb/train_op_params.h"
#include "front/atb/operation.h"
#include "front/atb/views.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/norm.h"

// Layer norms, gradients of the RMS norm, and parts of attentions brought together.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;
using atb::train::RmsNormBackwardParam;
using Layer = LayerNormParam;

// --- LayerNorm

Outcome<> check_layer(const LayerNormParam& param) {
  if (param.layerType != Layer::LAYER_NORM_NORM)
    return refuse(atb::ERROR_INVALID_PARAM, "layerType is {}, 1 (NORM) wanted: others are not offered",
                  static_cast<int>(param.layerType));
  if (param.normParam.quantType != QUANT_UNQUANT || param.normParam.dynamicQuantType != DYNAMIC_QUANT_UNDEFINED)
    return refuse(atb::ERROR_INVALID_PARAM, "quantType is {}, 0 wanted: others are not offered",
                  static_cast<int>(param.normParam.quantType));
  if (!(param.normParam.epsilon >= 0))
    return refuse(atb::ERROR_INVALID_PARAM, "epsilon is {}, 0 or more wanted", param.normParam.epsilon);
  return check_reserved(param.normParam.rsv, sizeof(param.normParam.rsv));
}

Arity arity_layer(const LayerNormParam&) { return {3, 1}; }

int64_t normalised(const LayerNormParam& param, const atb::TensorDesc& x) {
  const auto rank = static_cast<int64_t>(x.shape.dimNum), axis = static_cast<int64_t>(param.normParam.beginNormAxis);
  if (axis < -rank || axis >= rank) return -1;
  int64_t n = 1;
  for (int64_t i = axis < 0 ? axis + rank : axis; i < rank; ++i) n *= dim(x, static_cast<size_t>(i));
  return n;
}

Outcome<Descs> infer_layer(const LayerNormParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "x", {ACL_FLOAT, ACL_FLOAT16, ACL_BF16}).rank(0, "x", 1, atb::MAX_DIM);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  const int64_t n = normalised(param, in[0]);
  wanted.that(n >= 0, atb::ERROR_INVALID_PARAM, "beginNormAxis is {}, a dimension of x {} wanted",
              param.normParam.beginNormAxis, describe(in[0]));
  for (const size_t i : {size_t{1}, size_t{2}}) {
    const std::string_view name = i == 1 ? "gamma" : "beta";
    wanted.dtype(i, name, {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE);
    wanted.that(static_cast<int64_t>(count_of(in[i])) == n, atb::ERROR_INVALID_TENSOR_DIM,
                "{} is {}, {} values wanted (x {} from dimension {} on)", name, describe(in[i]), n, describe(in[0]),
                param.normParam.beginNormAxis);
  }
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{in[0]};
}

Outcome<> build_layer(const LayerNormParam& param, Run& run) {
  const int64_t n = normalised(param, run.in_desc(0)), rows = n == 0 ? 0 : run.in(0).elements() / n;
  LayerNorm op{.x = reshaped(run.in(0), {rows, n}), .gamma = reshaped(run.in(1), {n})};
  op.beta = reshaped(run.in(2), {n});
  op.y = reshaped(run.out(0), {rows, n});
  op.epsilon = static_cast<double>(param.normParam.epsilon);
  return run.add(op);
}

// --- RmsNormBackward: dy, x, rstd and gamma; dx and dgamma.

Outcome<> check_backward(const RmsNormBackwardParam& param) { return check_reserved(param.rsv, sizeof(param.rsv)); }
Arity arity_backward(const RmsNormBackwardParam&) { return {4, 2}; }

Outcome<Descs> infer_backward(const RmsNormBackwardParam&, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "dy", {ACL_FLOAT, ACL_FLOAT16, ACL_BF16}).rank(0, "dy", 2, atb::MAX_DIM).shape(1, "x", in[0]);
  wanted.dtype(1, "x", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).dtype(2, "rstd", {ACL_FLOAT});
  wanted.dtype(3, "gamma", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(3, "gamma", 1, 1);
  if (!wanted.failed()) wanted.dim(3, "gamma", 0, last_dim(in[0]));
  const uint64_t n = wanted.failed() ? 1 : std::max<uint64_t>(1, count_of(in[3]));
  wanted.that(wanted.failed() || count_of(in[2]) == count_of(in[0]) / n, atb::ERROR_INVALID_TENSOR_DIM,
              "rstd is {}, a value for each row of dy {} wanted", describe(in[2]), describe(in[0]));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  Descs out{in[0], in[3]};
  out[1].dtype = ACL_FLOAT;
  return out;
}

Outcome<> build_backward(const RmsNormBackwardParam&, Run& run) {
  const int64_t n = run.in(3).elements(), rows = n == 0 ? 0 : run.in(0).elements() / n;
  RmsNormBackward op{.dy = reshaped(run.in(0), {rows, n}), .x = reshaped(run.in(1), {rows, n})};
  op.rstd = reshaped(run.in(2), {rows});
  op.gamma = run.in(3);
  op.dx = reshaped(run.out(0), {rows, n});
  op.dgamma = run.out(1);
  return run.add(op);
}

// --- FaUpdate: lse (sp, rows) and local results (sp, rows, D) of sp parts of the keys; the result of all of them.

Outcome<> check_update(const FaUpdateParam& param) {
  if (param.faUpdateType != FaUpdateParam::DECODE_UPDATE)
    return refuse(atb::ERROR_INVALID_PARAM, "faUpdateType is {}, 0 wanted", static_cast<int>(param.faUpdateType));
  if (param.sp < 1) return refuse(atb::ERROR_INVALID_PARAM, "sp is {}, 1 or more wanted", param.sp);
  return check_reserved(param.rsv, sizeof(param.rsv));
}
Arity arity_update(const FaUpdateParam&) { return {2, 1}; }

Outcome<Descs> infer_update(const FaUpdateParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "lse", {ACL_FLOAT}).rank(0, "lse", 2, 2).dtype(1, "localOut", {ACL_FLOAT}).rank(1, "localOut", 3, 3);
  if (!wanted.failed()) wanted.dim(0, "lse", 0, param.sp).dim(1, "localOut", 0, param.sp);
  if (!wanted.failed()) wanted.dim(1, "localOut", 1, dim(in[0], 1));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{desc_of(ACL_FLOAT, in[1].format, {dim(in[1], 1), dim(in[1], 2)})};
}

// out = sum over parts, rising, of softmax(lse over the parts) * localOut
Outcome<> build_update(const FaUpdateParam& param, Run& run) {
  const TensorView parts = run.in(1), weights = run.scratch_like(run.in(0), DType::f32);
  const int64_t rows = parts.dim(1), d = parts.dim(2);
  if (const auto made = run.add(Softmax{run.in(0), weights, 0}); !made) return made;
  const TensorView weighted = run.scratch_like(parts, DType::f32);
  const TensorView factors = reshaped(weights, {static_cast<int64_t>(param.sp), rows, 1});
  if (const auto made = run.add(Arithmetic{.a = parts, .b = factors, .y = weighted, .op = Binary::multiply}); !made)
    return made;
  const auto part = [&](int64_t i) { return reshaped(part_of(weighted, 0, i, 1), {rows, d}); };
  if (param.sp == 1) return run.add(Activation{part(0), run.out(0), Unary::copy});
  for (int64_t i = 1; i < static_cast<int64_t>(param.sp); ++i) {
    const Arithmetic sum{.a = i == 1 ? part(0) : run.out(0), .b = part(i), .y = run.out(0)};
    if (const auto made = run.add(sum); !made) return made;
  }
  return {};
}

}  // namespace

template <>
const Kind<LayerNormParam>& kind_of() {
  static constexpr Kind<LayerNormParam> kKind{"LayerNormOperation", check_layer, arity_layer, infer_layer, build_layer};
  return kKind;
}

template <>
const Kind<RmsNormBackwardParam>& kind_of() {
  static constexpr Kind<RmsNormBackwardParam> kKind{"RmsNormBackwardOperation", check_backward, arity_backward,
                                                    infer_backward, build_backward};
  return kKind;
}

template <>
const Kind<FaUpdateParam>& kind_of() {
  static constexpr Kind<FaUpdateParam> kKind{"FaUpdateOperation", check_update, arity_update, infer_update,
                                             build_update};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::LayerNormParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::LayerNormParam&);
template Status UpdateOperationParam(Operation*, const infer::LayerNormParam&);
template Status CreateOperation(const train::RmsNormBackwardParam&, Operation**);
template Status CloneOperationParam(const Operation*, train::RmsNormBackwardParam&);
template Status UpdateOperationParam(Operation*, const train::RmsNormBackwardParam&);
template Status CreateOperation(const infer::FaUpdateParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::FaUpdateParam&);
template Status UpdateOperationParam(Operation*, const infer::FaUpdateParam&);

}  // namespace atb
#pragma GCC visibility pop
