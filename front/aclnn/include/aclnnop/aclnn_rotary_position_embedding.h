// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_ROTARY_POSITION_EMBEDDING_H
#define TANDEM_ACLNNOP_ACLNN_ROTARY_POSITION_EMBEDDING_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// out = x * cos + rotate(x) * sin; mode 0 half, 1 interleave, 2 quarter. cos and sin have a row for each leading index
// of x.
ACLNN_API aclnnStatus aclnnRotaryPositionEmbeddingGetWorkspaceSize(const aclTensor* x, const aclTensor* cos,
                                                                   const aclTensor* sin, int64_t mode,
                                                                   const aclTensor* out, uint64_t* workspaceSize,
                                                                   aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnRotaryPositionEmbedding(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                   aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
