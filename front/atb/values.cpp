// SPDX-License-Identifier: Apache-2.0
#include <initializer_list>
#include <optional>
#include <vector>

#include "atb/infer_op_params.h"
#include "front/aclnn/objects.h"
#include "front/atb/constant.h"
#include "front/atb/operation.h"
#include "front/atb/views.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/movement.h"
#include "tandem/ops/quantize.h"

// Operations element by element: Elewise, Activation, Softmax.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;
using Type = ElewiseParam;

const std::initializer_list<aclDataType> kFloats = {ACL_FLOAT, ACL_FLOAT16, ACL_BF16};

// --- Elewise

std::optional<Binary> binary_of(int type) {
  switch (type) {
    case Type::ELEWISE_ADD: return Binary::add;
    case Type::ELEWISE_MUL: return Binary::multiply;
    case Type::ELEWISE_REALDIV: return Binary::divide;
    case Type::ELEWISE_SUB: return Binary::subtract;
    default: return std::nullopt;
  }
}

bool per_channel(const ElewiseParam& param) {
  return param.elewiseType == Type::ELEWISE_QUANT_PER_CHANNEL || param.elewiseType == Type::ELEWISE_DEQUANT_PER_CHANNEL;
}

bool offered(int type) {
  const bool unary = type == Type::ELEWISE_CAST || type == Type::ELEWISE_MULS || type == Type::ELEWISE_NEG;
  return unary || binary_of(type) || type == Type::ELEWISE_QUANT || type == Type::ELEWISE_QUANT_PER_CHANNEL ||
         type == Type::ELEWISE_DEQUANT_PER_CHANNEL || type == Type::ELEWISE_DYNAMIC_QUANT;
}

Outcome<> check_elewise(const ElewiseParam& param) {
  if (!offered(param.elewiseType))
    return refuse(atb::ERROR_INVALID_PARAM, "elewiseType is {}, one of 1, 2, 5, 6, 8, 9, 10, 15, 17, 18, 19 wanted",
                  static_cast<int>(param.elewiseType));
  if (const auto zero = check_reserved(param.quantParam.rsv, sizeof(param.quantParam.rsv)); !zero) return zero;
  if (param.elewiseType == Type::ELEWISE_CAST && param.outTensorType == ACL_DT_UNDEFINED)
    return refuse(atb::ERROR_INVALID_PARAM, "outTensorType is not set, the type to cast to wanted");
  if (param.elewiseType == Type::ELEWISE_DEQUANT_PER_CHANNEL && param.outTensorType != ACL_DT_UNDEFINED &&
      param.outTensorType != ACL_FLOAT16)
    return refuse(atb::ERROR_INVALID_PARAM, "outTensorType is {}, 1 (float16) wanted",
                  static_cast<int>(param.outTensorType));
  return {};
}

Arity arity_elewise(const ElewiseParam& param) {
  if (param.elewiseType == Type::ELEWISE_DYNAMIC_QUANT) return {1, param.quantParam.asymmetric ? 3u : 2u};
  if (per_channel(param)) return {3, 1};
  return {binary_of(param.elewiseType) ? 2u : 1u, 1};
}

// What both shapes broadcast to; nothing where they do not.
std::optional<atb::TensorDesc> broadcast_of(const atb::TensorDesc& x, const atb::TensorDesc& y) {
  const bool longer = x.shape.dimNum >= y.shape.dimNum;
  atb::TensorDesc out = longer ? x : y;
  const atb::TensorDesc& other = longer ? y : x;
  for (uint64_t i = 1; i <= other.shape.dimNum; ++i) {
    int64_t& wide = out.shape.dims[out.shape.dimNum - i];
    const int64_t size = other.shape.dims[other.shape.dimNum - i];
    if (wide == 1) wide = size;
    if (size != 1 && size != wide) return std::nullopt;
  }
  out.dtype = x.dtype;
  out.format = x.format;
  return out;
}

Outcome<Descs> infer_binary(const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "x", {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_INT32}).rank(0, "x", 1, atb::MAX_DIM);
  wanted.dtype(1, "y", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE).rank(1, "y", 1, atb::MAX_DIM);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  const auto out = broadcast_of(in[0], in[1]);
  if (!out)
    return refuse(atb::ERROR_INVALID_TENSOR_DIM, "x {} and y {} do not broadcast", describe(in[0]), describe(in[1]));
  return Descs{*out};
}

Outcome<Descs> infer_quantised(const ElewiseParam& param, const Descs& in) {
  const bool back = param.elewiseType == Type::ELEWISE_DEQUANT_PER_CHANNEL;
  Wanted wanted(in);
  if (back) {
    wanted.dtype(0, "x", {ACL_INT8});
  } else {
    wanted.dtype(0, "x", kFloats);
  }
  wanted.rank(0, "x", 1, atb::MAX_DIM);
  if (per_channel(param)) wanted.rank(1, "scale", 1, atb::MAX_DIM);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  Descs out{in[0]};
  out[0].dtype = back ? ACL_FLOAT16 : ACL_INT8;
  if (param.elewiseType != Type::ELEWISE_DYNAMIC_QUANT) return out;
  wanted.rank(0, "x", 2, atb::MAX_DIM);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  atb::TensorDesc rows = in[0];
  --rows.shape.dimNum;
  rows.dtype = ACL_FLOAT;
  for (uint32_t i = 1; i < arity_elewise(param).outputs; ++i) out.push_back(rows);
  return out;
}

Outcome<Descs> infer_elewise(const ElewiseParam& param, const Descs& in) {
  if (binary_of(param.elewiseType)) return infer_binary(in);
  if (param.elewiseType != Type::ELEWISE_CAST && param.elewiseType != Type::ELEWISE_MULS &&
      param.elewiseType != Type::ELEWISE_NEG)
    return infer_quantised(param, in);
  Wanted wanted(in);
  wanted.rank(0, "x", 1, atb::MAX_DIM)
      .that(front::dtype_of(in[0].dtype) != DType::none, atb::ERROR_INVALID_TENSOR_INI_MATCH,
            "x is {}, a known type wanted", describe(in[0]));
  if (param.elewiseType != Type::ELEWISE_CAST) wanted.dtype(0, "x", kFloats);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  Descs out = in;
  if (param.elewiseType == Type::ELEWISE_CAST) out[0].dtype = param.outTensorType;
  return out;
}

Outcome<> build_quantised(const ElewiseParam& param, Run& run) {
  const TensorView x = run.in(0), y = run.out(0);
  if (param.elewiseType == Type::ELEWISE_DYNAMIC_QUANT)
    return run.add(DynamicQuant{.x = x, .y = y, .scale = run.out(1), .offset = run.out(2)});
  if (param.elewiseType == Type::ELEWISE_QUANT) {
    const TensorView scale = constant(run, DType::f32, param.quantParam.inputScale);
    const TensorView offset = constant(run, DType::f32, static_cast<float>(param.quantParam.inputOffset));
    return run.add(Quantize{.x = x, .scale = scale, .offset = offset, .y = y, .divide = true, .offset_last = true});
  }
  const TensorView scale = without_ones(run.in(1)), offset = without_ones(run.in(2));
  if (param.elewiseType == Type::ELEWISE_QUANT_PER_CHANNEL)
    return run.add(Quantize{.x = x, .scale = scale, .offset = offset, .y = y, .divide = true, .offset_last = true});
  if (offset.present())
    return refuse(atb::ERROR_INVALID_PARAM, "offset is {}, an empty one wanted: it is not offered",
                  describe(run.in_desc(2)));
  return run.add(Dequantize{.x = x, .scale = scale, .y = y});
}

Outcome<> build_elewise(const ElewiseParam& param, Run& run) {
  const TensorView x = run.in(0), y = run.out(0);
  if (const auto op = binary_of(param.elewiseType))
    return run.add(Arithmetic{.a = x, .b = run.in(1), .y = y, .op = *op});
  switch (param.elewiseType) {
    case Type::ELEWISE_CAST:
      if (x.dtype == y.dtype) return run.add(Copy{x, y});
      return run.add(Cast{x, y});
    case Type::ELEWISE_MULS:
      return run.add(tandem::Activation{.x = x, .y = y, .op = Unary::scale, .alpha = param.mulsParam.varAttr});
    case Type::ELEWISE_NEG: return run.add(tandem::Activation{.x = x, .y = y, .op = Unary::negate});
    default: return build_quantised(param, run);
  }
}

// --- Activation

bool is_known(int type) {
  return type == ACTIVATION_RELU || type == ACTIVATION_GELU || type == ACTIVATION_FAST_GELU ||
         type == ACTIVATION_FASTER_GELU_FORWARD || type == ACTIVATION_SWISH || type == ACTIVATION_SIGMOID ||
         type == ACTIVATION_SWIGLU_FORWARD;
}

Outcome<> check_activation(const ActivationParam& param) {
  if (!is_known(param.activationType))
    return refuse(atb::ERROR_INVALID_PARAM, "activationType is {}, one of 1, 2, 3, 4, 6, 8, 9 wanted",
                  static_cast<int>(param.activationType));
  if (param.activationType == ACTIVATION_GELU && param.geluMode != ActivationParam::TANH_MODE)
    return refuse(atb::ERROR_INVALID_PARAM, "geluMode is {}, 0 (tanh) wanted", static_cast<int>(param.geluMode));
  if (param.activationType == ACTIVATION_SWISH && param.scale == 0)
    return refuse(atb::ERROR_INVALID_PARAM, "scale is 0, another factor wanted");
  return {};
}

template <class P>
Arity one_to_one(const P&) {
  return {1, 1};
}

Outcome<Descs> infer_activation(const ActivationParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "x", kFloats).rank(0, "x", 1, atb::MAX_DIM);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  Descs out = in;
  if (param.activationType != ACTIVATION_SWIGLU_FORWARD) return out;
  const auto rank = static_cast<int64_t>(in[0].shape.dimNum);
  const int64_t axis = param.dim < 0 ? param.dim + rank : param.dim;
  wanted.that(axis >= 0 && axis < rank, atb::ERROR_INVALID_PARAM, "dim is {}, a dimension of x {} wanted", param.dim,
              describe(in[0]));
  if (!wanted.failed())
    wanted.that(in[0].shape.dims[axis] % 2 == 0, atb::ERROR_INVALID_TENSOR_DIM, "x is {}, an even dimension {} wanted",
                describe(in[0]), axis);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  out[0].shape.dims[axis] /= 2;
  return out;
}

struct Step {
  Unary op;
  float alpha = 1;
};

// The steps one after the other in f32, rounded once.
Outcome<> chain(Run& run, std::initializer_list<Step> steps) {
  const TensorView x = run.in(0), y = run.out(0);
  TensorView from = x, wide = y;
  if (x.dtype != DType::f32) {
    wide = run.scratch_like(x, DType::f32);
    if (const auto cast = run.add(Cast{x, wide}); !cast) return cast;
    from = wide;
  }
  for (const Step& step : steps) {
    const auto added = run.add(tandem::Activation{.x = from, .y = wide, .op = step.op, .alpha = step.alpha});
    if (!added) return added;
    from = wide;
  }
  return x.dtype == DType::f32 ? Outcome<>{} : run.add(Cast{wide, y});
}

// x * sigmoid(beta * x)
Outcome<> swish(Run& run, float beta) {
  if (beta == 1) return run.add(tandem::Activation{.x = run.in(0), .y = run.out(0), .op = Unary::silu});
  return chain(run, {{Unary::scale, beta}, {Unary::silu}, {Unary::scale, 1 / beta}});
}

Outcome<> sigmoid(Run& run) {
  const TensorView x = run.in(0), y = run.out(0), wide = run.scratch_like(x, DType::f32);
  const TensorView one = constant(run, DType::f32, 1.0f);
  if (const auto cast = x.dtype == DType::f32 ? run.add(Copy{x, wide}) : run.add(Cast{x, wide}); !cast) return cast;
  for (const Unary op : {Unary::negate, Unary::exponential}) {
    if (const auto added = run.add(tandem::Activation{.x = wide, .y = wide, .op = op}); !added) return added;
  }
  if (const auto added = run.add(Arithmetic{.a = wide, .b = one, .y = wide}); !added) return added;
  if (const auto turned = run.add(tandem::Activation{.x = wide, .y = wide, .op = Unary::reciprocal}); !turned)
    return turned;
  return x.dtype == DType::f32 ? run.add(Copy{wide, y}) : run.add(Cast{wide, y});
}

Outcome<> build_activation(const ActivationParam& param, Run& run) {
  constexpr float kFastGelu = 1.702f;
  const TensorView x = run.in(0), y = run.out(0);
  switch (param.activationType) {
    case ACTIVATION_RELU:
      return run.add(Arithmetic{.a = x, .b = constant(run, x.dtype, 0.0f), .y = y, .op = Binary::maximum});
    case ACTIVATION_GELU: return run.add(tandem::Activation{.x = x, .y = y, .op = Unary::gelu});
    case ACTIVATION_SWISH: return swish(run, param.scale);
    case ACTIVATION_SIGMOID: return sigmoid(run);
    case ACTIVATION_SWIGLU_FORWARD: return run.add(Swiglu{x, y, param.dim});
    default: return swish(run, kFastGelu);
  }
}

// --- Softmax

Outcome<> check_softmax(const SoftmaxParam& param) {
  if (param.axes.size() == 1) return {};
  return refuse(atb::ERROR_INVALID_PARAM, "axes has {} numbers, 1 wanted", param.axes.size());
}

Outcome<Descs> infer_softmax(const SoftmaxParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "x", kFloats).rank(0, "x", 1, atb::MAX_DIM);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  const auto rank = static_cast<int64_t>(in[0].shape.dimNum);
  wanted.that(param.axes[0] >= -rank && param.axes[0] < rank, atb::ERROR_INVALID_PARAM,
              "axes[0] is {}, a dimension of x {} wanted", param.axes[0], describe(in[0]));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return in;
}

Outcome<> build_softmax(const SoftmaxParam& param, Run& run) {
  return run.add(Softmax{run.in(0), run.out(0), param.axes[0]});
}

}  // namespace

template <>
const Kind<ElewiseParam>& kind_of() {
  static constexpr Kind<ElewiseParam> kKind{"ElewiseOperation", check_elewise, arity_elewise, infer_elewise,
                                            build_elewise};
  return kKind;
}
template <>
const Kind<ActivationParam>& kind_of() {
  static constexpr Kind<ActivationParam> kKind{"ActivationOperation", check_activation, one_to_one<ActivationParam>,
                                               infer_activation, build_activation};
  return kKind;
}
template <>
const Kind<SoftmaxParam>& kind_of() {
  static constexpr Kind<SoftmaxParam> kKind{"SoftmaxOperation", check_softmax, one_to_one<SoftmaxParam>, infer_softmax,
                                            build_softmax};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::ElewiseParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::ElewiseParam&);
template Status UpdateOperationParam(Operation*, const infer::ElewiseParam&);
template Status CreateOperation(const infer::ActivationParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::ActivationParam&);
template Status UpdateOperationParam(Operation*, const infer::ActivationParam&);
template Status CreateOperation(const infer::SoftmaxParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::SoftmaxParam&);
template Status UpdateOperationParam(Operation*, const infer::SoftmaxParam&);

}  // namespace atb
#pragma GCC visibility pop
