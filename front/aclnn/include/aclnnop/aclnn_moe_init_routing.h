// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_MOE_INIT_ROUTING_H
#define TANDEM_ACLNNOP_ACLNN_MOE_INIT_ROUTING_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// Rows of x in the order of their experts (stable); expandedRowIdxOut tells where the slot rowIdx went.
ACLNN_API aclnnStatus aclnnMoeInitRoutingGetWorkspaceSize(const aclTensor* x, const aclTensor* rowIdx,
                                                          const aclTensor* expertIdx, int64_t activeNum,
                                                          const aclTensor* expandedXOut,
                                                          const aclTensor* expandedRowIdxOut,
                                                          const aclTensor* expandedExpertIdxOut,
                                                          uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnMoeInitRouting(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
