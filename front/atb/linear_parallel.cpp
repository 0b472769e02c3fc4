// SPDX-License-Identifier: Apache-2.0
#include "atb/infer_op_params.h"
#include "front/atb/group.h"
#include "front/atb/operation.h"
#include "front/atb/views.h"
#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/mm_all_reduce.h"
#include "tandem/ops/mm_reduce_scatter.h"
#include "tandem/ops/movement.h"

// LinearParallel: a product and a collective in one operation.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;
using Type = LinearParallelParam;

bool quantised(const LinearParallelParam& param) { return param.quantType != Type::QUANT_TYPE_UNQUANT; }
bool per_token(const LinearParallelParam& param) { return param.quantType == Type::QUANT_TYPE_PER_TOKEN; }

Outcome<> check_quant(const LinearParallelParam& param) {
  if (!quantised(param)) return {};
  if (param.quantType < Type::QUANT_TYPE_PER_TENSOR || param.quantType > Type::QUANT_TYPE_PER_TOKEN)
    return refuse(atb::ERROR_INVALID_PARAM, "quantType is {}, -1 to 3 wanted", static_cast<int>(param.quantType));
  if (param.type != Type::LINEAR_ALL_REDUCE)
    return refuse(atb::ERROR_INVALID_PARAM, "quantType is {} with type {}, type 0 wanted",
                  static_cast<int>(param.quantType), static_cast<int>(param.type));
  if (param.quantType == Type::QUANT_TYPE_PER_GROUP && param.quantGroupSize <= 0)
    return refuse(atb::ERROR_INVALID_PARAM, "quantGroupSize is {}, 1 or more wanted", param.quantGroupSize);
  if (param.outDataType != ACL_FLOAT16 && param.outDataType != ACL_BF16)
    return refuse(atb::ERROR_INVALID_PARAM, "outDataType is {}, 1 (float16) or 27 (bfloat16) wanted",
                  static_cast<int>(param.outDataType));
  return {};
}

Outcome<> check_parallel(const LinearParallelParam& param) {
  if (const auto fine = check_group(group_of(param), "hccl lccl lcoc mc2"); !fine) return fine;
  if (param.type < Type::LINEAR_ALL_REDUCE || param.type > Type::PURE_LINEAR)
    return refuse(atb::ERROR_INVALID_PARAM, "type is {}, 0 to 3 wanted: others are not offered",
                  static_cast<int>(param.type));
  if (param.keepIntermediate && param.type != Type::ALL_GATHER_LINEAR)
    return refuse(atb::ERROR_INVALID_PARAM, "keepIntermediate is set with type {}, type 2 wanted",
                  static_cast<int>(param.type));
  if (param.hasResidual && (param.backend == "mc2" || param.type != Type::LINEAR_ALL_REDUCE))
    return refuse(atb::ERROR_INVALID_PARAM, "hasResidual is set with backend {} and type {}, type 0 wanted",
                  param.backend, static_cast<int>(param.type));
  return check_quant(param);
}

Arity arity_parallel(const LinearParallelParam& param) {
  uint32_t inputs = 2;
  if (quantised(param)) inputs += per_token(param) ? 3 : 2;
  if (param.hasResidual) ++inputs;
  return {inputs, param.keepIntermediate ? 2u : 1u};
}

Outcome<Descs> infer_parallel(const LinearParallelParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "input",
               quantised(param) ? std::initializer_list<aclDataType>{ACL_FLOAT16, ACL_BF16, ACL_INT8}
                                : std::initializer_list<aclDataType>{ACL_FLOAT16, ACL_BF16});
  wanted.dtype(1, "weight", {quantised(param) ? ACL_INT8 : in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE);
  wanted.rank(0, "input", 2, 3).rank(1, "weight", 2, 2);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  wanted.dim(1, "weight", param.transWeight ? 1 : 0, last_dim(in[0]));
  const int64_t ranks = size_of(group_of(param));
  const bool scatters = param.type == Type::LINEAR_REDUCE_SCATTER;
  wanted.that(ranks > 0 && (!scatters || dim(in[0], 0) % ranks == 0), atb::ERROR_INVALID_TENSOR_DIM,
              "input is {}, a multiple of {} rows wanted", describe(in[0]), ranks);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  atb::TensorDesc out = with_last(in[0], dim(in[1], param.transWeight ? 0 : 1));
  if (quantised(param)) out.dtype = param.outDataType;
  if (scatters) out.shape.dims[0] /= ranks;
  if (param.type != Type::ALL_GATHER_LINEAR) return Descs{out};
  out.shape.dims[0] *= ranks;
  atb::TensorDesc gathered = in[0];
  gathered.shape.dims[0] *= ranks;
  return param.keepIntermediate ? Descs{out, gathered} : Descs{out};
}

// --- product, then the sum over ranks

Quant quant_of(const LinearParallelParam& param, const Run& run) {
  if (!quantised(param)) return {};
  const TensorView offset = run.in(2), scale = run.in(3);
  if (run.in(0).dtype == DType::i8)
    return Int8Scale{without_ones(scale),
                     per_token(param) ? without_ones(run.in(arity_parallel(param).inputs - 1)) : TensorView{}};
  if (param.quantType == Type::QUANT_TYPE_PER_GROUP) return WeightScale{scale, offset, param.quantGroupSize};
  return WeightScale{without_ones(scale), without_ones(offset)};
}

// The residual is one row for all rows.
Outcome<> add_residual(const LinearParallelParam& param, Run& run, MmAllReduce& op) {
  if (!param.hasResidual) return {};
  const TensorView row = without_ones(run.in(quantised(param) ? 4 : 2));
  if (row.rank != 1 || row.dim(0) != op.y.dim(-1))
    return refuse(atb::ERROR_INVALID_TENSOR_DIM, "residual has {} elements, {} wanted", row.elements(), op.y.dim(-1));
  const TensorView rows = run.scratch_like(op.y, op.y.dtype);
  const int64_t count = rows.row_count(), n = rows.dim(-1);
  if (const auto copied = run.add(Copy{strided(row, {count, n}, {0, 1}), reshaped(rows, {count, n})}); !copied)
    return copied;
  op.then = AddRmsNorm{.residual = rows};
  return {};
}

// Fused operators find their group by name, and a name that was used again means the newest group.
Outcome<std::string> group_name(const LinearParallelParam& param, const Run& run) {
  const auto comm = communicator_of(group_of(param), run.device);
  if (!comm) return refuse(comm.error());
  const auto found = Communicator::find((*comm)->name(), (*comm)->device());
  if (found && *found == *comm) return (*comm)->name();
  return refuse(atb::ERROR_INVALID_PARAM, "hcclComm {} has the name of a newer communicator, a name of its own wanted",
                (*comm)->name());
}

Outcome<> build_all_reduce(const LinearParallelParam& param, Run& run, const TensorView& weight) {
  const auto group = group_name(param, run);
  if (!group) return refuse(group.error());
  MmAllReduce op{.x1 = run.in(0), .x2 = weight, .quant = quant_of(param, run), .y = run.out(0)};
  if (quantised(param) && op.x1.dtype == DType::i8) op.bias = without_ones(run.in(2));
  op.group = *group;
  if (const auto added = add_residual(param, run, op); !added) return added;
  return run.add(op);
}

Outcome<> build_reduce_scatter(const LinearParallelParam& param, Run& run, const TensorView& weight) {
  const auto group = group_name(param, run);
  if (!group) return refuse(group.error());
  MmReduceScatter op{{.x1 = run.in(0), .x2 = weight, .y = run.out(0)}, {}};
  op.product.group = *group;
  return run.add(op);
}

Outcome<> build_all_gather(const LinearParallelParam& param, Run& run, const TensorView& weight) {
  const auto group = group_name(param, run);
  if (!group) return refuse(group.error());
  AllGatherMm op{{.x1 = run.in(0), .x2 = weight, .y = run.out(0)}, {}, {}};
  op.product.group = *group;
  if (param.keepIntermediate) op.gathered = run.out(1);
  return run.add(op);
}

Outcome<> build_parallel(const LinearParallelParam& param, Run& run) {
  const TensorView weight = param.transWeight ? run.in(1).transposed() : run.in(1);
  switch (param.type) {
    case Type::LINEAR_ALL_REDUCE: return build_all_reduce(param, run, weight);
    case Type::LINEAR_REDUCE_SCATTER: return build_reduce_scatter(param, run, weight);
    case Type::ALL_GATHER_LINEAR: return build_all_gather(param, run, weight);
    default: return run.add(Linear{.x = run.in(0), .weight = weight, .y = run.out(0), .transpose = false});
  }
}

}  // namespace

template <>
const Kind<LinearParallelParam>& kind_of() {
  static constexpr Kind<LinearParallelParam> kKind{"LinearParallelOperation", check_parallel, arity_parallel,
                                                   infer_parallel, build_parallel};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::LinearParallelParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::LinearParallelParam&);
template Status UpdateOperationParam(Operation*, const infer::LinearParallelParam&);

}  // namespace atb
#pragma GCC visibility pop
