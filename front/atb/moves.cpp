// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "atb/infer_op_params.h"
#include "front/aclnn/objects.h"
#include "front/atb/constant.h"
#include "front/atb/nz.h"
#include "front/atb/operation.h"
#include "front/atb/views.h"
#include "tandem/ops/movement.h"

// Operations that move values: what they take away or put together is a strided view, and the work is a copy.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;

template <class P>
Outcome<> check_nothing(const P&) {
  return {};
}
template <class P>
Arity one_to_one(const P&) {
  return {1, 1};
}
template <class P>
Arity two_to_one(const P&) {
  return {2, 1};
}

// A tensor of at least one dimension whose elements this library knows and that fill bytes.
Wanted& whole_bytes(Wanted& wanted, const Descs& in, size_t index, std::string_view name) {
  return wanted.rank(index, name, 1, atb::MAX_DIM)
      .that(front::dtype_of(in[index].dtype) != DType::none && in[index].dtype != ACL_INT4,
            atb::ERROR_INVALID_TENSOR_INI_MATCH, "{} is {}, elements of whole bytes wanted", name, describe(in[index]));
}

// The dimension of that number, negative ones from the end; -1 where there is none.
int axis_in(const atb::TensorDesc& x, int64_t axis) {
  const auto rank = static_cast<int64_t>(x.shape.dimNum);
  const int64_t found = axis < 0 ? axis + rank : axis;
  return found >= 0 && found < rank ? static_cast<int>(found) : -1;
}

Wanted& has_axis(Wanted& wanted, const Descs& in, std::string_view name, int64_t axis) {
  if (wanted.failed()) return wanted;
  return wanted.that(axis_in(in[0], axis) >= 0, atb::ERROR_INVALID_PARAM, "{} is {}, a dimension of x {} wanted", name,
                     axis, describe(in[0]));
}

// --- Gather

Outcome<> check_gather(const GatherParam& param) {
  if (param.batchDims == 0) return {};
  return refuse(atb::ERROR_INVALID_PARAM, "batchDims is {}, 0 wanted", param.batchDims);
}

Outcome<Descs> infer_gather(const GatherParam& param, const Descs& in) {
  Wanted wanted(in);
  whole_bytes(wanted, in, 0, "x");
  wanted.dtype(1, "indices", {ACL_INT32, ACL_INT64}).rank(1, "indices", 1, atb::MAX_DIM);
  has_axis(wanted, in, "axis", param.axis);
  wanted.that(in[0].shape.dimNum + in[1].shape.dimNum <= atb::MAX_DIM + 1, atb::ERROR_INVALID_TENSOR_DIM_NUM,
              "x {} with indices {} give more than {} dimensions", describe(in[0]), describe(in[1]), atb::MAX_DIM);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  const auto axis = static_cast<uint64_t>(axis_in(in[0], param.axis));
  atb::TensorDesc out = in[0];
  out.shape.dimNum = 0;
  const auto push = [&](int64_t size) { out.shape.dims[out.shape.dimNum++] = size; };
  for (uint64_t i = 0; i < axis; ++i) push(in[0].shape.dims[i]);
  for (uint64_t i = 0; i < in[1].shape.dimNum; ++i) push(in[1].shape.dims[i]);
  for (uint64_t i = axis + 1; i < in[0].shape.dimNum; ++i) push(in[0].shape.dims[i]);
  return Descs{out};
}

Outcome<> build_gather(const GatherParam& param, Run& run) {
  return run.add(Gather{run.in(0), run.in(1), run.out(0), param.axis});
}

// --- Concat

Outcome<Descs> infer_concat(const ConcatParam& param, const Descs& in) {
  Wanted wanted(in);
  whole_bytes(wanted, in, 0, "x");
  wanted.dtype(1, "y", {in[0].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE);
  has_axis(wanted, in, "concatDim", param.concatDim);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  const int axis = axis_in(in[0], param.concatDim);
  atb::TensorDesc like = in[0];
  if (in[1].shape.dimNum == like.shape.dimNum) like.shape.dims[axis] = in[1].shape.dims[axis];
  wanted.shape(1, "y", like);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  atb::TensorDesc out = in[0];
  out.shape.dims[axis] += in[1].shape.dims[axis];
  return Descs{out};
}

Outcome<> build_concat(const ConcatParam& param, Run& run) {
  const int axis = axis_in(run.in_desc(0), param.concatDim);
  const TensorView x = run.in(0), y = run.in(1), out = run.out(0);
  if (const auto first = run.add(Copy{x, part_of(out, axis, 0, x.dim(axis))}); !first) return first;
  return run.add(Copy{y, part_of(out, axis, x.dim(axis), y.dim(axis))});
}

// --- Split

Outcome<> check_split(const SplitParam& param) {
  if (param.splitNum != 2 && param.splitNum != 3)
    return refuse(atb::ERROR_INVALID_PARAM, "splitNum is {}, 2 or 3 wanted", param.splitNum);
  const auto count = static_cast<size_t>(param.splitNum);
  if (!param.splitSizes.empty() && param.splitSizes.size() != count)
    return refuse(atb::ERROR_INVALID_PARAM, "splitSizes has {} numbers, {} wanted", param.splitSizes.size(), count);
  for (const int32_t size : param.splitSizes) {
    if (size < 0) return refuse(atb::ERROR_INVALID_PARAM, "splitSizes has {}, 0 or more wanted", size);
  }
  return {};
}

Arity arity_split(const SplitParam& param) { return {1, static_cast<uint32_t>(param.splitNum)}; }

Outcome<Descs> infer_split(const SplitParam& param, const Descs& in) {
  Wanted wanted(in);
  whole_bytes(wanted, in, 0, "x");
  has_axis(wanted, in, "splitDim", param.splitDim);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  const int axis = axis_in(in[0], param.splitDim);
  const int64_t whole = in[0].shape.dims[axis], parts = param.splitNum;
  Descs out;
  int64_t sum = 0;
  for (size_t i = 0; i < static_cast<size_t>(parts); ++i) {
    atb::TensorDesc part = in[0];
    part.shape.dims[axis] = param.splitSizes.empty() ? whole / parts : param.splitSizes[i];
    sum += part.shape.dims[axis];
    out.push_back(part);
  }
  wanted.that(sum == whole, atb::ERROR_INVALID_TENSOR_DIM, "x is {}, parts of {} in all wanted along dimension {}",
              describe(in[0]), sum, axis);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return out;
}

Outcome<> build_split(const SplitParam& param, Run& run) {
  const int axis = axis_in(run.in_desc(0), param.splitDim);
  int64_t first = 0;
  for (size_t i = 0; i < static_cast<size_t>(param.splitNum); ++i) {
    const TensorView out = run.out(i);
    if (const auto copied = run.add(Copy{part_of(run.in(0), axis, first, out.dim(axis)), out}); !copied) return copied;
    first += out.dim(axis);
  }
  return {};
}

// --- Slice

Outcome<> check_slice(const SliceParam& param) {
  if (param.offsets.size() == param.size.size() && !param.size.empty() && param.size.size() <= atb::MAX_DIM) return {};
  return refuse(atb::ERROR_INVALID_PARAM, "{} offsets and {} sizes, one of each for every dimension of x wanted",
                param.offsets.size(), param.size.size());
}

// Where the slice begins and how long it is; -1 as a size: to the end, a negative offset counts from the end.
struct Range {
  int64_t first, count;
};
Range range_of(const SliceParam& param, const atb::TensorDesc& x, size_t axis) {
  const int64_t whole = x.shape.dims[axis], offset = param.offsets[axis], size = param.size[axis];
  const int64_t first = offset < 0 ? offset + whole : offset;
  return {first, size == -1 ? whole - first : size};
}

Outcome<Descs> infer_slice(const SliceParam& param, const Descs& in) {
  Wanted wanted(in);
  whole_bytes(wanted, in, 0, "x").rank(0, "x", param.size.size(), param.size.size());
  if (wanted.failed()) return refuse(wanted.outcome().error());
  atb::TensorDesc out = in[0];
  for (size_t axis = 0; axis < param.size.size(); ++axis) {
    const Range range = range_of(param, in[0], axis);
    const int64_t whole = in[0].shape.dims[axis];
    wanted.that(range.first >= 0 && range.first <= whole && range.count >= 0 && range.count <= whole - range.first,
                atb::ERROR_INVALID_PARAM, "offsets[{}] {} with size {} leaves x {}", axis, param.offsets[axis],
                param.size[axis], describe(in[0]));
    out.shape.dims[axis] = range.count;
  }
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{out};
}

Outcome<> build_slice(const SliceParam& param, Run& run) {
  TensorView part = run.in(0);
  for (size_t axis = 0; axis < param.size.size(); ++axis) {
    const Range range = range_of(param, run.in_desc(0), axis);
    part = part_of(part, static_cast<int>(axis), range.first, range.count);
  }
  return run.add(Copy{part, run.out(0)});
}

// --- Transpose

Outcome<> check_transpose(const TransposeParam& param) {
  for (int32_t axis = 0; axis < static_cast<int32_t>(param.perm.size()); ++axis) {
    if (std::count(param.perm.begin(), param.perm.end(), axis) != 1)
      return refuse(atb::ERROR_INVALID_PARAM, "perm has {} dimensions without {}, each of them once wanted",
                    param.perm.size(), axis);
  }
  return {};
}

Outcome<Descs> infer_transpose(const TransposeParam& param, const Descs& in) {
  Wanted wanted(in);
  whole_bytes(wanted, in, 0, "x").rank(0, "x", param.perm.size(), param.perm.size());
  if (wanted.failed()) return refuse(wanted.outcome().error());
  atb::TensorDesc out = in[0];
  for (size_t i = 0; i < param.perm.size(); ++i) out.shape.dims[i] = in[0].shape.dims[param.perm[i]];
  return Descs{out};
}

Outcome<> build_transpose(const TransposeParam& param, Run& run) {
  const std::vector<int> order(param.perm.begin(), param.perm.end());
  return run.add(Copy{permuted(run.in(0), order), run.out(0)});
}

// --- Transdata: matrices in rows, and in blocks of columns (nz.h), rows filled up with zeros to whole blocks of 16

constexpr int64_t kBlockRows = 16;
int64_t block_width(const atb::TensorDesc& x) { return x.dtype == ACL_INT8 ? 32 : 16; }
int64_t blocks_of(int64_t size, int64_t width) { return (size + width - 1) / width; }
bool to_fractions(const TransdataParam& param) { return param.transdataType == TransdataParam::ND_TO_FRACTAL_NZ; }

Outcome<> check_transdata(const TransdataParam& param) {
  if (param.transdataType != TransdataParam::FRACTAL_NZ_TO_ND && !to_fractions(param))
    return refuse(atb::ERROR_INVALID_PARAM, "transdataType is {}, 1 or 2 wanted",
                  static_cast<int>(param.transdataType));
  if (to_fractions(param) || (param.outCrops.size() == 2 && param.outCrops[0] >= 0 && param.outCrops[1] >= 0))
    return {};
  return refuse(atb::ERROR_INVALID_PARAM, "outCrops has {} numbers, rows and columns of the result wanted",
                param.outCrops.size());
}

Outcome<Descs> infer_transdata(const TransdataParam& param, const Descs& in) {
  Wanted wanted(in);
  wanted.dtype(0, "x", {ACL_FLOAT16, ACL_BF16, ACL_INT8});
  if (to_fractions(param)) {
    wanted.rank(0, "x", 2, 3);
    if (wanted.failed()) return refuse(wanted.outcome().error());
    const uint64_t rank = in[0].shape.dimNum;
    const int64_t batch = rank == 3 ? dim(in[0], 0) : 1, rows = dim(in[0], rank - 2), width = block_width(in[0]);
    return Descs{desc_of(in[0].dtype, ACL_FORMAT_FRACTAL_NZ,
                         {batch, blocks_of(last_dim(in[0]), width), blocks_of(rows, kBlockRows) * kBlockRows, width})};
  }
  wanted.rank(0, "x", 4, 4);
  if (!wanted.failed())
    wanted.that(dim(in[0], 3) == block_width(in[0]), atb::ERROR_INVALID_TENSOR_DIM,
                "x is {}, blocks of {} columns wanted", describe(in[0]), block_width(in[0]));
  if (!wanted.failed())
    wanted.that(param.outCrops[0] <= dim(in[0], 2) && param.outCrops[1] <= dim(in[0], 1) * dim(in[0], 3),
                atb::ERROR_INVALID_PARAM, "outCrops is [{},{}], at most that of x {} wanted", param.outCrops[0],
                param.outCrops[1], describe(in[0]));
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{desc_of(in[0].dtype, ACL_FORMAT_ND, {dim(in[0], 0), param.outCrops[0], param.outCrops[1]})};
}

// The columns of a dense (batch, rows, n) that fill blocks, or with `rest` those that do not, as (batch, rows, blocks,
// w).
TensorView column_blocks(const TensorView& rows, int64_t width, bool rest) {
  const int64_t m = rows.dim(-2), n = rows.dim(-1), whole = n / width, left = n % width;
  const int64_t batch = rows.rank == 3 ? rows.dim(0) : 1;
  if (!rest) return strided(rows, {batch, m, whole, width}, {m * n, n, width, 1});
  return part_of(strided(rows, {batch, m, 1, n}, {m * n, n, n, 1}), 3, whole * width, left);
}

Outcome<> build_transdata(const TransdataParam& param, Run& run) {
  const bool folds = to_fractions(param);
  const TensorView rows = folds ? run.in(0) : run.out(0), nz = folds ? run.out(0) : run.in(0);
  if (folds) clear(run, nz);
  const int64_t width = nz.dim(3), m = rows.dim(-2), whole = rows.dim(-1) / width, left = rows.dim(-1) % width;
  const TensorView all = part_of(fractions(nz), 1, 0, m);
  for (const bool rest : {false, true}) {
    if ((rest ? left : whole) == 0) continue;
    TensorView blocks = part_of(all, 2, rest ? whole : 0, rest ? 1 : whole);
    if (rest) blocks = part_of(blocks, 3, 0, left);
    const TensorView columns = column_blocks(rows, width, rest);
    if (const auto copied = run.add(folds ? Copy{columns, blocks} : Copy{blocks, columns}); !copied) return copied;
  }
  return {};
}

}  // namespace

template <>
const Kind<GatherParam>& kind_of() {
  static constexpr Kind<GatherParam> kKind{"GatherOperation", check_gather, two_to_one<GatherParam>, infer_gather,
                                           build_gather};
  return kKind;
}
template <>
const Kind<ConcatParam>& kind_of() {
  static constexpr Kind<ConcatParam> kKind{"ConcatOperation", check_nothing<ConcatParam>, two_to_one<ConcatParam>,
                                           infer_concat, build_concat};
  return kKind;
}
template <>
const Kind<SplitParam>& kind_of() {
  static constexpr Kind<SplitParam> kKind{"SplitOperation", check_split, arity_split, infer_split, build_split};
  return kKind;
}
template <>
const Kind<SliceParam>& kind_of() {
  static constexpr Kind<SliceParam> kKind{"SliceOperation", check_slice, one_to_one<SliceParam>, infer_slice,
                                          build_slice};
  return kKind;
}
template <>
const Kind<TransposeParam>& kind_of() {
  static constexpr Kind<TransposeParam> kKind{"TransposeOperation", check_transpose, one_to_one<TransposeParam>,
                                              infer_transpose, build_transpose};
  return kKind;
}
template <>
const Kind<TransdataParam>& kind_of() {
  static constexpr Kind<TransdataParam> kKind{"TransdataOperation", check_transdata, one_to_one<TransdataParam>,
                                              infer_transdata, build_transdata};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::GatherParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::GatherParam&);
template Status UpdateOperationParam(Operation*, const infer::GatherParam&);
template Status CreateOperation(const infer::ConcatParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::ConcatParam&);
template Status UpdateOperationParam(Operation*, const infer::ConcatParam&);
template Status CreateOperation(const infer::SplitParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::SplitParam&);
template Status UpdateOperationParam(Operation*, const infer::SplitParam&);
template Status CreateOperation(const infer::SliceParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::SliceParam&);
template Status UpdateOperationParam(Operation*, const infer::SliceParam&);
template Status CreateOperation(const infer::TransposeParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::TransposeParam&);
template Status UpdateOperationParam(Operation*, const infer::TransposeParam&);
template Status CreateOperation(const infer::TransdataParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::TransdataParam&);
template Status UpdateOperationParam(Operation*, const infer::TransdataParam&);

}  // namespace atb
#pragma GCC visibility pop
