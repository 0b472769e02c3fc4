// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_MATMUL_ALL_REDUCE_V2_H
#define TANDEM_ACLNNOP_ACLNN_MATMUL_ALL_REDUCE_V2_H
#include <string>

#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"
#include "hccl/hccl.h"
#include "hccl/hccl_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// output = all_reduce_sum(x1 @ x2 + bias + x3), bias and x3 on every rank that gives them. All fp16 or bf16.
ACLNN_API aclnnStatus aclnnMatmulAllReduceV2GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                             const aclTensor* bias, const aclTensor* x3,
                                                             const char* group, const char* reduceOp, int64_t commTurn,
                                                             int64_t streamMode, const aclTensor* output,
                                                             uint64_t* workspaceSize, aclOpExecutor** executor);

ACLNN_API aclnnStatus aclnnMatmulAllReduceV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                             const aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
