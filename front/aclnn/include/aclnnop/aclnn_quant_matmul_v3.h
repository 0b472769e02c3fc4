// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_QUANT_MATMUL_V3_H
#define TANDEM_ACLNNOP_ACLNN_QUANT_MATMUL_V3_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// out = (x1 @ x2 + bias) * scale; scale uint64 or int64 of TransQuantParam, float or bf16; int8 out: + offset, rounded.
ACLNN_API aclnnStatus aclnnQuantMatmulV3GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                         const aclTensor* scale, const aclTensor* offset,
                                                         const aclTensor* bias, bool transposeX1, bool transposeX2,
                                                         const aclTensor* out, uint64_t* workspaceSize,
                                                         aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnQuantMatmulV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                         aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
