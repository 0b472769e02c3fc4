// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_MATMUL_REDUCE_SCATTER_H
#define TANDEM_ACLNNOP_ACLNN_MATMUL_REDUCE_SCATTER_H
#include <string>

#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"
#include "hccl/hccl.h"
#include "hccl/hccl_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// output = the rows of this rank of reduce_sum(x1 @ x2 + bias), M / ranks of them. x1, x2 fp16 or bf16.
ACLNN_API aclnnStatus aclnnMatmulReduceScatterGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                               const aclTensor* bias, const char* group,
                                                               const char* reduceOp, int64_t commTurn,
                                                               int64_t streamMode, const aclTensor* output,
                                                               uint64_t* workspaceSize, aclOpExecutor** executor);

ACLNN_API aclnnStatus aclnnMatmulReduceScatter(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                               const aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
