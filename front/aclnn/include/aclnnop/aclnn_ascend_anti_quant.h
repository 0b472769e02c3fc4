// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_ASCEND_ANTI_QUANT_H
#define TANDEM_ACLNNOP_ACLNN_ASCEND_ANTI_QUANT_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// y = (x + offset) * scale, * scale twice with sqrtMode; x int8, int4 or int32 of eight int4; dstType 1 fp16, 27 bf16.
ACLNN_API aclnnStatus aclnnAscendAntiQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* scale,
                                                           const aclTensor* offset, int64_t dstType, bool sqrtMode,
                                                           const aclTensor* y, uint64_t* workspaceSize,
                                                           aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnAscendAntiQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                           aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
