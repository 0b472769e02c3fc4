// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_DYNAMIC_QUANT_H
#define TANDEM_ACLNNOP_ACLNN_DYNAMIC_QUANT_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// scaleOut = max|x * smoothScales| / 127 of each row, yOut = round(x * smoothScales / scaleOut).
ACLNN_API aclnnStatus aclnnDynamicQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                                        const aclTensor* yOut, const aclTensor* scaleOut,
                                                        uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnDynamicQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
