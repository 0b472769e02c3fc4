// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_APPLY_ROTARY_POS_EMB_V2_H
#define TANDEM_ACLNNOP_ACLNN_APPLY_ROTARY_POS_EMB_V2_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// As ApplyRotaryPosEmb; rotaryMode half, interleave or quarter; layout 4 (T,N,D) with cos and sin (T,1,D).
ACLNN_API aclnnStatus aclnnApplyRotaryPosEmbV2GetWorkspaceSize(const aclTensor* queryRef, const aclTensor* keyRef,
                                                               const aclTensor* cos, const aclTensor* sin,
                                                               int64_t layout, const char* rotaryMode,
                                                               uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnApplyRotaryPosEmbV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                               aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
