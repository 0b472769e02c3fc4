// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_DYNAMIC_QUANT_V2_H
#define TANDEM_ACLNNOP_ACLNN_DYNAMIC_QUANT_V2_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// As DynamicQuant with dstType 2 int8, 3 int32 of eight int4, 29 int4; smoothScales by groups of rows where groupIndex
// is given; asymmetric where offsetOut is.
ACLNN_API aclnnStatus aclnnDynamicQuantV2GetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                                          const aclTensor* groupIndexOptional, int64_t dstType,
                                                          const aclTensor* yOut, const aclTensor* scaleOut,
                                                          const aclTensor* offsetOut, uint64_t* workspaceSize,
                                                          aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnDynamicQuantV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
