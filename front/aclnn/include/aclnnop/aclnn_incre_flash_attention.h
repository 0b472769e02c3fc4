// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_INCRE_FLASH_ATTENTION_H
#define TANDEM_ACLNNOP_ACLNN_INCRE_FLASH_ATTENTION_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// One new token of each sequence: softmax(scaleValue * q @ k^T + pseShift, where attenMask is 0) @ v over
// actualSeqLengths.
ACLNN_API aclnnStatus aclnnIncreFlashAttentionGetWorkspaceSize(const aclTensor* query, const aclTensorList* key,
                                                               const aclTensorList* value, const aclTensor* pseShift,
                                                               const aclTensor* attenMask,
                                                               const aclIntArray* actualSeqLengths, int64_t numHeads,
                                                               double scaleValue, const char* inputLayout,
                                                               int64_t numKeyValueHeads, const aclTensor* attentionOut,
                                                               uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnIncreFlashAttention(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                               aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
