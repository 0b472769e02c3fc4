// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_SWI_GLU_QUANT_H
#define TANDEM_ACLNNOP_ACLNN_SWI_GLU_QUANT_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// yOut, scaleOut = dynamic_quant(swiglu(x), smooth scales of the group of each row); quantMode "dynamic" or "static".
// Both halves f32 until they are quantised. activateLeft: silu of the left half.
ACLNN_API aclnnStatus aclnnSwiGluQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                                       const aclTensor* offsetsOptional,
                                                       const aclTensor* groupIndexOptional, bool activateLeft,
                                                       char* quantModeOptional, const aclTensor* yOut,
                                                       const aclTensor* scaleOut, uint64_t* workspaceSize,
                                                       aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnSwiGluQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                       aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
