// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_INPLACE_ADD_RMS_NORM_H
#define TANDEM_ACLNNOP_ACLNN_INPLACE_ADD_RMS_NORM_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// x2Ref = x1Ref + x2Ref; x1Ref = rms_norm(x2Ref) * gamma; rstdOut = 1 / rms.
ACLNN_API aclnnStatus aclnnInplaceAddRmsNormGetWorkspaceSize(aclTensor* x1Ref, aclTensor* x2Ref, const aclTensor* gamma,
                                                             double epsilon, const aclTensor* rstdOut,
                                                             uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnInplaceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                             aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
