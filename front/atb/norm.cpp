// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/norm.h"

#include "atb/infer_op_params.h"
#include "front/atb/operation.h"
#include "front/atb/views.h"
#include "tandem/ops/elementwise.h"

// RMS norms: alone, after a sum (PRENORM also gives the sum), and with the result quantised.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;
using Type = RmsNormParam;

bool is_norm(const RmsNormParam& param) { return param.layerType == Type::RMS_NORM_NORM; }
bool is_pre(const RmsNormParam& param) { return param.layerType == Type::RMS_NORM_PRENORM; }
bool has_bias(const RmsNormParam& param) {
  return is_pre(param) ? param.preNormParam.hasBias : !is_norm(param) && param.postNormParam.hasBias;
}
QuantType quant_of(const RmsNormParam& param) {
  if (is_norm(param)) return param.normParam.quantType;
  return is_pre(param) ? param.preNormParam.quantType : param.postNormParam.quantType;
}
bool quantised(const RmsNormParam& param) { return quant_of(param) == QUANT_INT8; }
bool dynamic(const RmsNormParam& param) {
  return is_norm(param) && param.normParam.dynamicQuantType != DYNAMIC_QUANT_UNDEFINED;
}
float epsilon_of(const RmsNormParam& param) {
  if (is_norm(param)) return param.normParam.epsilon;
  return is_pre(param) ? param.preNormParam.epsilon : param.postNormParam.epsilon;
}

Outcome<> check_norm(const RmsNormParam& param) {
  if (param.layerType < Type::RMS_NORM_NORM || param.layerType > Type::RMS_NORM_POSTNORM)
    return refuse(atb::ERROR_INVALID_PARAM, "layerType is {}, 1 to 3 wanted", static_cast<int>(param.layerType));
  for (const auto& [bytes, count] : {std::pair(param.normParam.rsv, sizeof(param.normParam.rsv)),
                                     std::pair(param.preNormParam.rsv, sizeof(param.preNormParam.rsv)),
                                     std::pair(param.postNormParam.rsv, sizeof(param.postNormParam.rsv))}) {
    if (const auto zero = check_reserved(bytes, count); !zero) return zero;
  }
  if (quant_of(param) != QUANT_UNQUANT && !quantised(param))
    return refuse(atb::ERROR_INVALID_PARAM, "quantType is {}, 0 or 2 wanted", static_cast<int>(quant_of(param)));
  if (quantised(param) && !is_norm(param) && !is_pre(param))
    return refuse(atb::ERROR_INVALID_PARAM, "quantType is 2 with POSTNORM, 0 wanted");
  if (dynamic(param) && (param.normParam.dynamicQuantType != DYNAMIC_QUANT_SYMMETRIC || !quantised(param)))
    return refuse(atb::ERROR_INVALID_PARAM, "dynamicQuantType is {}, 1 with quantType 2 wanted",
                  static_cast<int>(param.normParam.dynamicQuantType));
  if (is_norm(param) && param.normParam.modelType != Type::LLAMA_MODEL)
    return refuse(atb::ERROR_INVALID_PARAM, "modelType is {}, 0 wanted", static_cast<int>(param.normParam.modelType));
  if (is_norm(param) && param.normParam.rstd && quantised(param))
    return refuse(atb::ERROR_INVALID_PARAM, "rstd is set with quantType 2, one of them wanted");
  if (!(epsilon_of(param) >= 0))
    return refuse(atb::ERROR_INVALID_PARAM, "epsilon is {}, 0 or more wanted", epsilon_of(param));
  return {};
}

Arity arity_norm(const RmsNormParam& param) {
  if (is_norm(param)) {
    if (dynamic(param)) return {3, 2};
    return quantised(param) ? Arity{5, 1} : Arity{2, param.normParam.rstd ? 2u : 1u};
  }
  const uint32_t bias = has_bias(param) ? 1 : 0;
  if (!is_pre(param)) return {3 + bias, 1};
  return quantised(param) ? Arity{6, 2} : Arity{3 + bias, 2};
}

// Where the operands lie.
struct Places {
  size_t bias, residual, gamma;
};
Places places_of(const RmsNormParam& param) {
  const size_t bias = has_bias(param) || (is_pre(param) && quantised(param)) ? 1 : 0;
  return is_norm(param) ? Places{2, 0, 1} : Places{1, 1 + bias, 2 + bias};
}

// x without its last dimension, or with it as 1.
atb::TensorDesc of_rows(const atb::TensorDesc& x, bool keeps_last) {
  atb::TensorDesc rows = with_last(x, 1);
  if (!keeps_last && rows.shape.dimNum > 1) --rows.shape.dimNum;
  rows.dtype = ACL_FLOAT;
  return rows;
}

Outcome<Descs> infer_norm(const RmsNormParam& param, const Descs& in) {
  const Places at = places_of(param);
  Wanted wanted(in);
  wanted.dtype(0, "x", {ACL_FLOAT, ACL_FLOAT16, ACL_BF16}).rank(0, "x", 1, atb::MAX_DIM);
  wanted.rank(at.gamma, "gamma", 1, atb::MAX_DIM);
  if (!wanted.failed())
    wanted.that(last_dim(in[at.gamma]) == last_dim(in[0]), atb::ERROR_INVALID_TENSOR_DIM,
                "gamma is {}, the last dimension of x {} wanted", describe(in[at.gamma]), describe(in[0]));
  if (!is_norm(param)) wanted.shape(at.residual, "residual", in[0]);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  Descs out{in[0]};
  if (quantised(param)) out[0].dtype = ACL_INT8;
  if (dynamic(param)) out.push_back(of_rows(in[0], false));
  if (is_norm(param) && param.normParam.rstd) out.push_back(of_rows(in[0], true));
  if (is_pre(param)) out.push_back(in[0]);
  return out;
}

// x + bias, rounded, where there is one.
Outcome<TensorView> biased(const RmsNormParam& param, Run& run) {
  const TensorView x = run.in(0), bias = run.in(places_of(param).bias);
  if (!has_bias(param)) return x;
  const TensorView sum = run.scratch_like(x, x.dtype);
  if (const auto added = run.add(Arithmetic{.a = x, .b = without_ones(bias), .y = sum}); !added)
    return refuse(added.error());
  return sum;
}

Outcome<> build_quantised(const RmsNormParam& param, Run& run) {
  const Places at = places_of(param);
  if (dynamic(param)) {
    return run.add(RmsNormDynamicQuant{.x = run.in(0),
                                       .gamma = without_ones(run.in(1)),
                                       .beta = without_ones(run.in(2)),
                                       .y1 = run.out(0),
                                       .row_scale1 = run.out(1),
                                       .epsilon = epsilon_of(param)});
  }
  RmsNormQuant op{.x = run.in(0), .gamma = without_ones(run.in(at.gamma)), .y1 = run.out(0)};
  op.beta = without_ones(run.in(is_norm(param) ? 2 : at.bias));
  op.scale1 = without_ones(run.in(at.gamma + (is_norm(param) ? 2 : 1)));
  op.offset1 = without_ones(run.in(at.gamma + (is_norm(param) ? 3 : 2)));
  op.epsilon = epsilon_of(param);
  if (is_pre(param)) {
    op.residual = run.in(at.residual);
    op.sum = run.out(1);
  }
  return run.add(op);
}

Outcome<> build_norm(const RmsNormParam& param, Run& run) {
  if (quantised(param)) return build_quantised(param, run);
  const Places at = places_of(param);
  const auto x = biased(param, run);
  if (!x) return refuse(x.error());
  RmsNorm op{.x = *x, .gamma = without_ones(run.in(at.gamma)), .y = run.out(0), .epsilon = epsilon_of(param)};
  if (!is_norm(param)) op.residual = run.in(at.residual);
  if (is_pre(param)) op.sum = run.out(1);
  if (is_norm(param) && param.normParam.rstd) op.rstd = run.out(1);
  return run.add(op);
}

}  // namespace

template <>
const Kind<RmsNormParam>& kind_of() {
  static constexpr Kind<RmsNormParam> kKind{"RmsNormOperation", check_norm, arity_norm, infer_norm, build_norm};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::RmsNormParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::RmsNormParam&);
template Status UpdateOperationParam(Operation*, const infer::RmsNormParam&);

}  // namespace atb
#pragma GCC visibility pop
