// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_APPLY_ROTARY_POS_EMB_H
#define TANDEM_ACLNNOP_ACLNN_APPLY_ROTARY_POS_EMB_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// queryRef and keyRef, in place: x * cos + rotate_half(x) * sin. layout 1 (B,S,N,D) with cos and sin (B,S,1,D); 2
// (S,B,N,D).
ACLNN_API aclnnStatus aclnnApplyRotaryPosEmbGetWorkspaceSize(const aclTensor* queryRef, const aclTensor* keyRef,
                                                             const aclTensor* cos, const aclTensor* sin, int64_t layout,
                                                             uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnApplyRotaryPosEmb(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                             aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
