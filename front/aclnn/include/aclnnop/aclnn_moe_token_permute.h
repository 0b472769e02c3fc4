// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_MOE_TOKEN_PERMUTE_H
#define TANDEM_ACLNNOP_ACLNN_MOE_TOKEN_PERMUTE_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// permuteTokensOut = the rows of tokens sorted by their experts; sortedIndicesOut[slot] = where each went. paddedMode
// false only.
ACLNN_API aclnnStatus aclnnMoeTokenPermuteGetWorkspaceSize(const aclTensor* tokens, const aclTensor* indices,
                                                           int64_t numOutTokens, bool paddedMode,
                                                           const aclTensor* permuteTokensOut,
                                                           const aclTensor* sortedIndicesOut, uint64_t* workspaceSize,
                                                           aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnMoeTokenPermute(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                           aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
