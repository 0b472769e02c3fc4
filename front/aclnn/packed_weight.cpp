// SPDX-License-Identifier: Apache-2.0
// FRACTAL_NZ: translation to transdata. Its memory has as many elements as the matrices, so nothing grows in place.
#include <algorithm>

#include "aclnnop/aclnn_npu_format_cast.h"
#include "aclnnop/aclnn_trans_matmul_weight.h"
#include "front/aclnn/translate.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/transdata.h"

namespace tandem::front {
namespace {

constexpr int64_t kBlockRows = 16, kBlockBits = 256;

int64_t blocks(int64_t count, int64_t size) { return (count + size - 1) / size; }

// The matrices as their memory has them, whichever way the view is turned.
TensorView stored(const TensorView& view) {
  return view.rank >= 2 && !view.contiguous() && view.transposed().contiguous() ? view.transposed() : view;
}

// Rows as they are: every element to the same place.
aclnnStatus leave(std::string_view name, const aclTensor* from, const aclTensor* to, uint64_t* workspace_size,
                  aclOpExecutor** executor) {
  return translate<Cast>(name, workspace_size, executor, [&](auto& call) {
    bind(call.inputs, call.op.x, from);
    bind(call.outputs, call.op.y, to);
    for (TensorView* view : {&call.op.x, &call.op.y}) {
      *view = stored(*view);
      if (view->dtype == DType::i4) {  // whole bytes are enough
        *view = make_tensor(view->data, DType::u8, {static_cast<int64_t>(view->bytes())});
      }
    }
  });
}

aclnnStatus rearrange(std::string_view name, const aclTensor* from, const aclTensor* to, Transdata::Kind kind,
                      uint64_t* workspace_size, aclOpExecutor** executor) {
  return translate<Transdata>(name, workspace_size, executor, [&](auto& call) {
    bind(call.inputs, call.op.x, from);
    bind(call.outputs, call.op.y, to);
    for (TensorView* view : {&call.op.x, &call.op.y}) unpack_words(*view);
    call.op.x = stored(call.op.x);
    call.op.y = stored(call.op.y);
    call.op.kind = kind;
  });
}

// The first thing that is wrong with a tensor of matrices.
Status check_matrices(std::string_view name, std::string_view argument, const aclTensor* tensor) {
  Check check(name);
  check.present(argument, tensor != nullptr);
  if (check.failed()) return check.status();
  check.that(tensor->view.present(), "{} {} has an unknown dtype, a number's wanted", argument, describe(*tensor));
  check.rank(argument, tensor->view, 2, TensorView::kMaxRank);
  check.that(check.failed() || stored(tensor->view).contiguous(), "{} {} has gaps, contiguous matrices wanted",
             argument, describe(*tensor));
  const int format = tensor->format;
  check.that(!private_format(format) || format == ACL_FORMAT_FRACTAL_NZ, "{} has format {}, ND or FRACTAL_NZ wanted",
             argument, format);
  return check.status();
}

aclnnStatus transform(std::string_view name, const aclTensor* from, const aclTensor* to, bool pack,
                      uint64_t* workspace_size, aclOpExecutor** executor) {
  TensorView matrices = from->view;
  unpack_words(matrices);
  if (panel_of(matrices) == 0) return leave(name, from, to, workspace_size, executor);
  const auto kind = pack ? Transdata::Kind::to_panels : Transdata::Kind::from_panels;
  return rearrange(name, from, to, kind, workspace_size, executor);
}

Status check_cast(const aclTensor* from, const aclTensor* to) {
  constexpr std::string_view kName = "aclnnNpuFormatCast";
  if (auto status = check_matrices(kName, "srcTensor", from); !status) return status;
  if (auto status = check_matrices(kName, "dstTensor", to); !status) return status;
  Check check(kName);
  check.same_shape("dstTensor", to->view, "srcTensor", from->view);
  check.same_dtype("dstTensor", to->view, "srcTensor", from->view.dtype);
  const bool turned = to->view.step(-1) != 1, was = from->view.step(-1) != 1;
  check.that(turned == was, "dstTensor is {}transposed, as srcTensor wanted", turned ? "" : "not ");
  check.that(from->format != to->format, "dstTensor has format {}, another than srcTensor's wanted", to->format);
  return check.status();
}

// Extents that a program may allocate by; at least as many elements as the matrices have.
std::vector<int64_t> block_extents(const TensorView& view) {
  std::vector<int64_t> dims(view.shape.begin(), view.shape.begin() + view.rank - 2);
  const int64_t columns = kBlockBits / std::max(1, dtype_bits(view.dtype));
  for (const int64_t dim : {blocks(view.dim(-1), columns), blocks(view.dim(-2), kBlockRows), kBlockRows, columns})
    dims.push_back(dim);
  return dims;
}

Status weight_size(std::string_view name, const aclIntArray* shape, uint64_t* size) {
  Check check(name);
  check.present("tensorShape", shape != nullptr).present("weightTensorSize", size != nullptr);
  if (check.failed()) return check.status();
  const auto& dims = shape->values;
  check.that(dims.size() >= 2 && dims.size() <= 6, "tensorShape has {} dimensions, 2 to 6 wanted", dims.size());
  uint64_t product = 1;
  for (const int64_t dim : dims) {
    check.that(dim >= 0 && (dim == 0 || product <= static_cast<uint64_t>(INT64_MAX / 16 / dim)),
               "tensorShape has a dimension of {}, extents whose product fits wanted", dim);
    if (!check.failed()) product *= static_cast<uint64_t>(dim);
  }
  if (!check.failed()) *size = product;
  return check.status();
}

aclnnStatus code_of(const Status& status) { return status ? ACLNN_SUCCESS : report_aclnn(status.error()); }

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;

extern "C" {

aclnnStatus aclnnCalculateMatmulWeightSize(const aclIntArray* tensorShape, uint64_t* weightTensorSize) {
  return front::aclnn_call([&] {
    return front::code_of(front::weight_size("aclnnCalculateMatmulWeightSize", tensorShape, weightTensorSize));
  });
}

aclnnStatus aclnnCalculateMatmulWeightSizeV2(const aclIntArray* tensorShape, aclDataType dataType,
                                             uint64_t* weightTensorSize) {
  return front::aclnn_call([&]() -> aclnnStatus {
    constexpr std::string_view kName = "aclnnCalculateMatmulWeightSizeV2";
    tandem::Check check(kName);
    const auto dtype = front::dtype_of(static_cast<int>(dataType));
    check.that(dtype != tandem::DType::none, "dataType is {}, that of a weight wanted", static_cast<int>(dataType));
    if (check.failed()) return front::report_aclnn(check.status().error());
    return front::code_of(front::weight_size(kName, tensorShape, weightTensorSize));
  });
}

aclnnStatus aclnnTransMatmulWeightGetWorkspaceSize(aclTensor* mmWeightRef, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor) {
  constexpr std::string_view kName = "aclnnTransMatmulWeight";
  return front::aclnn_call([&]() -> aclnnStatus {
    if (auto status = front::check_matrices(kName, "mmWeightRef", mmWeightRef); !status)
      return front::report_aclnn(status.error());
    if (mmWeightRef->format == ACL_FORMAT_FRACTAL_NZ)
      return front::leave(kName, mmWeightRef, mmWeightRef, workspaceSize, executor);
    const aclnnStatus code = front::transform(kName, mmWeightRef, mmWeightRef, true, workspaceSize, executor);
    if (code == ACLNN_SUCCESS) mmWeightRef->format = ACL_FORMAT_FRACTAL_NZ;
    return code;
  });
}

aclnnStatus aclnnTransMatmulWeight(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnNpuFormatCastCalculateSizeAndFormat(const aclTensor* srcTensor, const int dstFormat,
                                                     int additionalDtype, int64_t** dstShape, uint64_t* dstShapeSize,
                                                     int* actualFormat) {
  constexpr std::string_view kName = "aclnnNpuFormatCastCalculateSizeAndFormat";
  return front::aclnn_call([&]() -> aclnnStatus {
    if (auto status = front::check_matrices(kName, "srcTensor", srcTensor); !status)
      return front::report_aclnn(status.error());
    tandem::Check check(kName);
    check.present("dstShape", dstShape != nullptr).present("dstShapeSize", dstShapeSize != nullptr);
    check.present("actualFormat", actualFormat != nullptr);
    check.that(dstFormat == ACL_FORMAT_FRACTAL_NZ || dstFormat == ACL_FORMAT_ND, "dstFormat is {}, {} or {} wanted",
               dstFormat, static_cast<int>(ACL_FORMAT_ND), static_cast<int>(ACL_FORMAT_FRACTAL_NZ));
    if (check.failed()) return front::report_aclnn(check.status().error());
    static_cast<void>(additionalDtype);  // widths of blocks, which this library's layout does not have
    const auto& view = srcTensor->view;
    std::vector<int64_t> dims(view.shape.begin(), view.shape.begin() + view.rank);
    if (dstFormat == ACL_FORMAT_FRACTAL_NZ) dims = front::block_extents(view);
    *dstShape = new int64_t[dims.size()];
    std::copy(dims.begin(), dims.end(), *dstShape);
    *dstShapeSize = dims.size();
    *actualFormat = dstFormat;
    return ACLNN_SUCCESS;
  });
}

aclnnStatus aclnnNpuFormatCastGetWorkspaceSize(const aclTensor* srcTensor, aclTensor* dstTensor,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  return front::aclnn_call([&]() -> aclnnStatus {
    if (auto status = front::check_cast(srcTensor, dstTensor); !status) return front::report_aclnn(status.error());
    const bool pack = dstTensor->format == ACL_FORMAT_FRACTAL_NZ;
    return front::transform("aclnnNpuFormatCast", srcTensor, dstTensor, pack, workspaceSize, executor);
  });
}

aclnnStatus aclnnNpuFormatCast(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
