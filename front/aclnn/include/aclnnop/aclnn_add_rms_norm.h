// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_ADD_RMS_NORM_H
#define TANDEM_ACLNNOP_ACLNN_ADD_RMS_NORM_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// xOut = x1 + x2, yOut = xOut / sqrt(mean(xOut^2) + epsilon) * gamma; rstdOut and xOut may be null, rstdOut alone not
// given.
ACLNN_API aclnnStatus aclnnAddRmsNormGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma,
                                                      double epsilon, const aclTensor* yOut, const aclTensor* rstdOut,
                                                      const aclTensor* xOut, uint64_t* workspaceSize,
                                                      aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                      aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
