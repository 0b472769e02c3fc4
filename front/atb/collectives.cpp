// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/collectives.h"

#include "front/aclnn/objects.h"
#include "front/atb/group.h"

// Operations between ranks whose parts are equal.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;

constexpr std::string_view kAnyBackend = "hccl lccl", kLocal = "lccl";
const std::initializer_list<aclDataType> kReducible = {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_INT8,
                                                       ACL_INT16, ACL_INT32,   ACL_INT64};

template <class P>
Arity one_to_one(const P&) {
  return {1, 1};
}

template <class P>
Outcome<> check_simple(const P& param) {
  return check_group(group_of(param), kAnyBackend);
}

// What a reduction of x refuses.
void check_reduced(Wanted& wanted, const atb::TensorDesc& x, std::string_view reduction, std::string_view backend) {
  const bool narrow = x.dtype == ACL_INT16 || x.dtype == ACL_BF16;
  wanted.dtype(0, "x", kReducible)
      .that(reduction != "prod" || !narrow, atb::ERROR_INVALID_TENSOR_DTYPE, "x {} with prod, no int16 or bf16 wanted",
            describe(x))
      .that(backend != kLocal || x.dtype != ACL_INT64, atb::ERROR_INVALID_TENSOR_DTYPE,
            "x {} with backend lccl, no int64 wanted", describe(x));
}

// --- AllReduce

Arity arity_all_reduce(const AllReduceParam& param) {
  return {param.quantType == AllReduceParam::QUANT_TYPE_UNQUANT ? 1u : 3u, 1};
}

Outcome<> check_all_reduce(const AllReduceParam& param) {
  if (const auto fine = check_group(group_of(param), kAnyBackend); !fine) return fine;
  if (const auto how = combine_of(param.allReduceType); !how) return refuse(how.error());
  if (param.quantType == AllReduceParam::QUANT_TYPE_UNQUANT) return {};
  return refuse(atb::ERROR_INVALID_PARAM, "quantType is {}, 0 wanted: quantised sums are not offered",
                static_cast<int>(param.quantType));
}

Outcome<Descs> infer_all_reduce(const AllReduceParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.rank(0, "x", 1, atb::MAX_DIM);
  check_reduced(wanted, in[0], param.allReduceType, param.backend);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return in;
}

Outcome<> build_all_reduce(const AllReduceParam& param, Run& run) {
  const TensorView x = run.in(0), y = run.out(0);
  const auto how = combine_of(param.allReduceType);
  return collect(run, "AllReduce", group_of(param), [=](Communicator& comm, Lane& lane) {
    return all_reduce(comm, x.data, y.data, x.elements(), x.dtype, *how, lane);
  });
}

// --- AllGather

Outcome<Descs> infer_all_gather(const AllGatherParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.rank(0, "x", 1, atb::MAX_DIM - 1)
      .that(front::dtype_of(in[0].dtype) != DType::none && in[0].dtype != ACL_INT4, atb::ERROR_INVALID_TENSOR_INI_MATCH,
            "x is {}, elements of whole bytes wanted", describe(in[0]));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  atb::TensorDesc out = in[0];
  for (uint64_t axis = out.shape.dimNum; axis > 0; --axis) out.shape.dims[axis] = out.shape.dims[axis - 1];
  out.shape.dims[0] = size_of(group_of(param));
  ++out.shape.dimNum;
  return Descs{out};
}

Outcome<> build_all_gather(const AllGatherParam& param, Run& run) {
  const TensorView x = run.in(0), y = run.out(0);
  return collect(run, "AllGather", group_of(param), [=](Communicator& comm, Lane& lane) {
    return all_gather(comm, x.data, y.data, x.elements(), x.dtype, lane);
  });
}

// --- Broadcast, in place

Arity one_to_none(const BroadcastParam&) { return {1, 0}; }

Outcome<Descs> infer_broadcast(const BroadcastParam&, const Descs& in) {
  Wanted wanted(in);
  wanted.rank(0, "x", 1, atb::MAX_DIM)
      .that(front::dtype_of(in[0].dtype) != DType::none && in[0].dtype != ACL_INT4, atb::ERROR_INVALID_TENSOR_INI_MATCH,
            "x is {}, elements of whole bytes wanted", describe(in[0]));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{};
}

Outcome<> build_broadcast(const BroadcastParam& param, Run& run) {
  const TensorView x = run.in(0);
  const int root = param.rankRoot;
  return collect(run, "Broadcast", group_of(param), [=](Communicator& comm, Lane& lane) {
    return broadcast(comm, x.data, x.elements(), x.dtype, root, lane);
  });
}

// --- ReduceScatter

Outcome<> check_reduce_scatter(const ReduceScatterParam& param) {
  if (const auto fine = check_group(group_of(param), kAnyBackend); !fine) return fine;
  if (const auto how = combine_of(param.reduceType); !how) return refuse(how.error());
  if (param.reduceType == "prod" && param.backend == kLocal)
    return refuse(atb::ERROR_INVALID_PARAM, "reduceType is prod with backend lccl, backend hccl wanted");
  return {};
}

Outcome<Descs> infer_reduce_scatter(const ReduceScatterParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.rank(0, "x", 1, atb::MAX_DIM);
  check_reduced(wanted, in[0], param.reduceType, param.backend);
  const int ranks = size_of(group_of(param));
  wanted.that(ranks > 0, atb::ERROR_INVALID_PARAM, "{} ranks, at least 1 wanted", ranks);
  if (!wanted.failed())
    wanted.that(dim(in[0], 0) % ranks == 0, atb::ERROR_INVALID_TENSOR_DIM, "x is {}, a multiple of {} rows wanted",
                describe(in[0]), ranks);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  Descs out = in;
  out[0].shape.dims[0] /= ranks;
  return out;
}

Outcome<> build_reduce_scatter(const ReduceScatterParam& param, Run& run) {
  const TensorView x = run.in(0), y = run.out(0);
  const auto how = combine_of(param.reduceType);
  return collect(run, "ReduceScatter", group_of(param), [=](Communicator& comm, Lane& lane) {
    return reduce_scatter(comm, x.data, y.data, y.elements(), x.dtype, *how, lane);
  });
}

}  // namespace

template <>
const Kind<AllReduceParam>& kind_of() {
  static constexpr Kind<AllReduceParam> kKind{"AllReduceOperation", check_all_reduce, arity_all_reduce,
                                              infer_all_reduce, build_all_reduce};
  return kKind;
}
template <>
const Kind<AllGatherParam>& kind_of() {
  static constexpr Kind<AllGatherParam> kKind{"AllGatherOperation", check_simple<AllGatherParam>,
                                              one_to_one<AllGatherParam>, infer_all_gather, build_all_gather};
  return kKind;
}
template <>
const Kind<BroadcastParam>& kind_of() {
  static constexpr Kind<BroadcastParam> kKind{"BroadcastOperation", check_simple<BroadcastParam>, one_to_none,
                                              infer_broadcast, build_broadcast};
  return kKind;
}
template <>
const Kind<ReduceScatterParam>& kind_of() {
  static constexpr Kind<ReduceScatterParam> kKind{"ReduceScatterOperation", check_reduce_scatter,
                                                  one_to_one<ReduceScatterParam>, infer_reduce_scatter,
                                                  build_reduce_scatter};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::AllReduceParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::AllReduceParam&);
template Status UpdateOperationParam(Operation*, const infer::AllReduceParam&);
template Status CreateOperation(const infer::AllGatherParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::AllGatherParam&);
template Status UpdateOperationParam(Operation*, const infer::AllGatherParam&);
template Status CreateOperation(const infer::BroadcastParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::BroadcastParam&);
template Status UpdateOperationParam(Operation*, const infer::BroadcastParam&);
template Status CreateOperation(const infer::ReduceScatterParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::ReduceScatterParam&);
template Status UpdateOperationParam(Operation*, const infer::ReduceScatterParam&);

}  // namespace atb
#pragma GCC visibility pop
