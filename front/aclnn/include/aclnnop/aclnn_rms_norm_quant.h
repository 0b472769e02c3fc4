// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_RMS_NORM_QUANT_H
#define TANDEM_ACLNNOP_ACLNN_RMS_NORM_QUANT_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// y = sat8(round(n / scale + offset)) of n = RmsNorm + beta; scale and offset of one element.
ACLNN_API aclnnStatus aclnnRmsNormQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* gamma,
                                                        const aclTensor* beta, const aclTensor* scale,
                                                        const aclTensor* offset, double epsilon, const aclTensor* y,
                                                        uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnRmsNormQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
