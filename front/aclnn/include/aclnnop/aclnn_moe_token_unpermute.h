// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_MOE_TOKEN_UNPERMUTE_H
#define TANDEM_ACLNNOP_ACLNN_MOE_TOKEN_UNPERMUTE_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// out[i] = sum over j of probs[i][j] * permutedTokens[sortedIndices[i * k + j]], f32, one rounding. paddedMode false
// only.
ACLNN_API aclnnStatus aclnnMoeTokenUnpermuteGetWorkspaceSize(const aclTensor* permutedTokens,
                                                             const aclTensor* sortedIndices,
                                                             const aclTensor* probsOptional, bool paddedMode,
                                                             const aclIntArray* restoreShapeOptional, aclTensor* out,
                                                             uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnMoeTokenUnpermute(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                             aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
