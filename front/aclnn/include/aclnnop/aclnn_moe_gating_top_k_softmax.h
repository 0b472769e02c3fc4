// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_MOE_GATING_TOP_K_SOFTMAX_H
#define TANDEM_ACLNNOP_ACLNN_MOE_GATING_TOP_K_SOFTMAX_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// yOut, expertIdxOut = the k largest of softmax(x), ties to the lowest id; finished rows get the id E; rowIdxOut[i][j]
// = i + j * rows.
ACLNN_API aclnnStatus aclnnMoeGatingTopKSoftmaxGetWorkspaceSize(const aclTensor* x, const aclTensor* finishedOptional,
                                                                int64_t k, const aclTensor* yOut,
                                                                const aclTensor* expertIdxOut,
                                                                const aclTensor* rowIdxOut, uint64_t* workspaceSize,
                                                                aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnMoeGatingTopKSoftmax(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
