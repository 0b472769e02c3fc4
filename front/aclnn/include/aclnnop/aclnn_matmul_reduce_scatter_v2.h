// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_MATMUL_REDUCE_SCATTER_V2_H
#define TANDEM_ACLNNOP_ACLNN_MATMUL_REDUCE_SCATTER_V2_H
#include <string>

#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"
#include "hccl/hccl.h"
#include "hccl/hccl_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// As aclnnMatmulReduceScatter, and x1, x2 int8 with x2Scale (one or n) and x1Scale (a value a row), fp32, both optional
// with fp16 or bf16. quantScale, amaxOut, blocks and groups of scales are refused; commMode changes nothing here.
ACLNN_API aclnnStatus aclnnMatmulReduceScatterV2GetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* x1Scale, const aclTensor* x2Scale,
    const aclTensor* quantScale, int64_t blockSize, const char* group, const char* reduceOp, int64_t commTurn,
    int64_t streamMode, int64_t groupSize, const char* commMode, aclTensor* output, aclTensor* amaxOutOptional,
    uint64_t* workspaceSize, aclOpExecutor** executor);

ACLNN_API aclnnStatus aclnnMatmulReduceScatterV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                 const aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
