// SPDX-License-Identifier: Apache-2.0
#include "atb/infer_op_params.h"
#include "front/atb/nz.h"
#include "front/atb/operation.h"
#include "tandem/ops/matmul.h"

// Linear: products of activations and weights, floats or int8 with scales.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;

bool quantised(const LinearParam& param) {
  return param.outDataType != ACL_DT_UNDEFINED && !param.enAccum && param.matmulType != LinearParam::MATMUL_EIN_SUM;
}
bool per_token(const LinearParam& param) { return param.quantMode == LinearParam::PER_TOKEN; }
bool einsum(const LinearParam& param) { return param.matmulType == LinearParam::MATMUL_EIN_SUM; }

Outcome<> check_linear(const LinearParam& param) {
  if (param.quantMode > LinearParam::PER_TOKEN || param.matmulType > LinearParam::MATMUL_EIN_SUM)
    return refuse(atb::ERROR_INVALID_PARAM, "matmulType {} and quantMode {}, 0 to 1 and 0 to 2 wanted",
                  static_cast<int>(param.matmulType), static_cast<int>(param.quantMode));
  if (param.enAccum && (param.hasBias || einsum(param) || param.outDataType != ACL_DT_UNDEFINED))
    return refuse(atb::ERROR_INVALID_PARAM, "enAccum with hasBias, MATMUL_EIN_SUM or outDataType, none of them wanted");
  if (einsum(param) && (param.hasBias || param.transposeA || param.outDataType != ACL_DT_UNDEFINED))
    return refuse(atb::ERROR_INVALID_PARAM,
                  "MATMUL_EIN_SUM with hasBias, transposeA or outDataType, none of them wanted");
  if (per_token(param) && !quantised(param))
    return refuse(atb::ERROR_INVALID_PARAM, "quantMode is 2 without outDataType, the type of the result wanted");
  if (quantised(param) && param.outDataType != ACL_FLOAT16 && param.outDataType != ACL_BF16)
    return refuse(atb::ERROR_INVALID_PARAM, "outDataType is {}, 1 (float16) or 27 (bfloat16) wanted",
                  static_cast<int>(param.outDataType));
  return {};
}

Arity arity_linear(const LinearParam& param) {
  uint32_t inputs = 2;
  if (param.hasBias || param.enAccum) ++inputs;
  if (quantised(param)) inputs += per_token(param) ? 2 : 1;
  return {inputs, 1};
}

// Rows and columns of the weight as it is multiplied; of (.., 1, n / 16, k, 16) too.
struct WeightSize {
  int64_t k, n;
};
WeightSize weight_size(const LinearParam& param, const atb::TensorDesc& weight) {
  const uint64_t rank = weight.shape.dimNum;
  int64_t rows = dim(weight, rank - 2), columns = dim(weight, rank - 1);
  if (in_fractions(weight)) {
    rows = dim(weight, 2);
    columns = dim(weight, 1) * dim(weight, 3);
  }
  return param.transposeB ? WeightSize{columns, rows} : WeightSize{rows, columns};
}

Outcome<Descs> infer_linear(const LinearParam& param, const Descs& in) {
  Wanted wanted(in);
  if (quantised(param)) {
    wanted.dtype(0, "x", {ACL_INT8}).dtype(1, "weight", {ACL_INT8});
  } else {
    wanted.dtype(0, "x", {ACL_FLOAT16, ACL_FLOAT, ACL_BF16});
    wanted.dtype(1, "weight", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE);
  }
  wanted.rank(0, "x", einsum(param) ? 3 : 2, 3).rank(1, "weight", einsum(param) ? 3 : 2, 4);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  const uint64_t rank = in[0].shape.dimNum;
  const WeightSize size = weight_size(param, in[1]);
  const int64_t k = dim(in[0], param.transposeA ? rank - 2 : rank - 1);
  wanted.that(k == size.k, atb::ERROR_INVALID_TENSOR_DIM, "weight is {}, {} rows wanted (x {})", describe(in[1]), k,
              describe(in[0]));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  atb::TensorDesc out = with_last(in[0], size.n);
  if (param.transposeA) out.shape.dims[rank - 2] = dim(in[0], rank - 1);
  if (quantised(param)) out.dtype = param.outDataType;
  if (param.enAccum) out.dtype = ACL_FLOAT;
  return Descs{out};
}

// The weight as (.., k, n); FRACTAL_NZ with four dimensions is unfolded, with two it is what its dimensions say.
Outcome<TensorView> weight_of(const LinearParam& param, Run& run) {
  TensorView weight = run.in(1);
  if (in_fractions(run.in_desc(1))) {
    const auto dense = unfolded(run, weight);
    if (!dense) return refuse(dense.error());
    weight = *dense;
    if (!einsum(param)) weight = without_ones(weight);
  }
  return param.transposeB ? weight.transposed() : weight;
}

Outcome<> build_quantised(const LinearParam& param, Run& run, const TensorView& x, const TensorView& weight) {
  const size_t scale = param.hasBias ? 3 : 2;
  QuantMatmul op{.x1 = x, .x2 = weight, .y = run.out(0)};
  if (param.hasBias) op.bias = without_ones(run.in(2));
  op.scale = without_ones(run.in(scale));
  if (per_token(param)) op.token = without_ones(run.in(scale + 1));
  return run.add(op);
}

Outcome<> build_linear(const LinearParam& param, Run& run) {
  const auto weight = weight_of(param, run);
  if (!weight) return refuse(weight.error());
  TensorView x = param.transposeA ? run.in(0).transposed() : run.in(0), y = run.out(0);
  if (quantised(param)) return build_quantised(param, run, x, *weight);
  if (einsum(param)) {
    constexpr int kBatchFirst[] = {1, 0, 2};
    return run.add(Matmul{.a = permuted(x, kBatchFirst), .b = *weight, .y = permuted(y, kBatchFirst)});
  }
  if (param.enAccum) return run.add(Matmul{.a = x, .b = *weight, .c = run.in(2), .y = y});
  // One product of all rows where the weight is one matrix.
  if (weight->rank == 2 && !param.transposeA)
    return run.add(Linear{.x = x, .weight = *weight, .bias = run.in(2), .y = y, .transpose = false});
  return run.add(Matmul{.a = x, .b = *weight, .c = run.in(2), .y = y});
}

}  // namespace

template <>
const Kind<LinearParam>& kind_of() {
  static constexpr Kind<LinearParam> kKind{"LinearOperation", check_linear, arity_linear, infer_linear, build_linear};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::LinearParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::LinearParam&);
template Status UpdateOperationParam(Operation*, const infer::LinearParam&);

}  // namespace atb
#pragma GCC visibility pop
