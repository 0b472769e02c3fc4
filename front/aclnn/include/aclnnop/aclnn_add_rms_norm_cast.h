// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_ADD_RMS_NORM_CAST_H
#define TANDEM_ACLNNOP_ACLNN_ADD_RMS_NORM_CAST_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// AddRmsNorm whose result comes twice: y2Out as the dtype of x1, y1Out the same values as f32.
ACLNN_API aclnnStatus aclnnAddRmsNormCastGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                          const aclTensor* gamma, double epsilon,
                                                          const aclTensor* y1Out, const aclTensor* y2Out,
                                                          const aclTensor* rstdOut, const aclTensor* xOut,
                                                          uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnAddRmsNormCast(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
