// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_ADD_RMS_NORM_DYNAMIC_QUANT_H
#define TANDEM_ACLNNOP_ACLNN_ADD_RMS_NORM_DYNAMIC_QUANT_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// (y1Out, scale1Out) = DynamicQuant(n * smoothScale1) of n = AddRmsNorm; y2Out, scale2Out likewise where smoothScale2
// is given.
ACLNN_API aclnnStatus aclnnAddRmsNormDynamicQuantGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma, const aclTensor* smoothScale1Optional,
    const aclTensor* smoothScale2Optional, double epsilon, const aclTensor* y1Out, const aclTensor* y2Out,
    const aclTensor* xOut, const aclTensor* scale1Out, const aclTensor* scale2Out, uint64_t* workspaceSize,
    aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnAddRmsNormDynamicQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                  aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
