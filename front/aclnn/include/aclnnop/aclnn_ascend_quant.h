// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_ASCEND_QUANT_H
#define TANDEM_ACLNNOP_ACLNN_ASCEND_QUANT_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// y = sat(roundMode(x * scale + offset)), * scale twice with sqrtMode. roundMode round, floor, ceil, trunc; dstType 2
// int8, 3 int32 of eight int4, 29 int4.
ACLNN_API aclnnStatus aclnnAscendQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* scale,
                                                       const aclTensor* offset, bool sqrtMode, const char* roundMode,
                                                       int32_t dstType, const aclTensor* y, uint64_t* workspaceSize,
                                                       aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnAscendQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                       aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
