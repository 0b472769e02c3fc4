// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_NPU_FORMAT_CAST_H
#define TANDEM_ACLNNOP_ACLNN_NPU_FORMAT_CAST_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// Extents and format of a tensor that aclnnNpuFormatCast fills: ND or FRACTAL_NZ (29). dstShape is made with new[], its
// memory is the caller's.
ACLNN_API aclnnStatus aclnnNpuFormatCastCalculateSizeAndFormat(const aclTensor* srcTensor, const int dstFormat,
                                                               int additionalDtype, int64_t** dstShape,
                                                               uint64_t* dstShapeSize, int* actualFormat);
// ND to FRACTAL_NZ as aclnnTransMatmulWeight lays it out, or back.
ACLNN_API aclnnStatus aclnnNpuFormatCastGetWorkspaceSize(const aclTensor* srcTensor, aclTensor* dstTensor,
                                                         uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnNpuFormatCast(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                         aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
