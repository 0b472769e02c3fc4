// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_ADD_RMS_NORM_QUANT_H
#define TANDEM_ACLNNOP_ACLNN_ADD_RMS_NORM_QUANT_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// y1Out = sat8(round(n * scales1 + zeroPoints1)) of n = AddRmsNorm; n / scales1 + .. with divMode; y2Out likewise where
// scales2 is given.
ACLNN_API aclnnStatus aclnnAddRmsNormQuantGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma, const aclTensor* scales1,
    const aclTensor* scales2Optional, const aclTensor* zeroPoints1Optional, const aclTensor* zeroPoints2Optional,
    int64_t axis, double epsilon, bool divMode, const aclTensor* y1Out, const aclTensor* y2Out, const aclTensor* xOut,
    uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnAddRmsNormQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                           aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
