// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_ROPE_WITH_SIN_COS_CACHE_H
#define TANDEM_ACLNNOP_ACLNN_ROPE_WITH_SIN_COS_CACHE_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// queryOut, keyOut = rope of queryIn and keyIn with row positions[i] of cosSinCache (cosines, then sines, of half the
// turned columns). isNeoxStyle: half, else interleave. Columns of a head behind those of the cache are copied.
// mropeSection null only.
ACLNN_API aclnnStatus aclnnRopeWithSinCosCacheGetWorkspaceSize(const aclTensor* positions, const aclTensor* queryIn,
                                                               const aclTensor* keyIn, const aclTensor* cosSinCache,
                                                               const aclIntArray* mropeSection, int64_t headSize,
                                                               bool isNeoxStyle, aclTensor* queryOut, aclTensor* keyOut,
                                                               uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnRopeWithSinCosCache(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                               aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
