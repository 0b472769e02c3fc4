// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_MOE_FINALIZE_ROUTING_H
#define TANDEM_ACLNNOP_ACLNN_MOE_FINALIZE_ROUTING_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// out_i = x1_i + x2_i + sum over j of scales_ij * (expandedX[expandedRowIdx[i + j * rows]] + bias[expert_ij]).
ACLNN_API aclnnStatus aclnnMoeFinalizeRoutingGetWorkspaceSize(const aclTensor* expandedX, const aclTensor* x1,
                                                              const aclTensor* x2Optional, const aclTensor* bias,
                                                              const aclTensor* scales, const aclTensor* expandedRowIdx,
                                                              const aclTensor* expandedExpertIdx, const aclTensor* out,
                                                              uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnMoeFinalizeRouting(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                              aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
