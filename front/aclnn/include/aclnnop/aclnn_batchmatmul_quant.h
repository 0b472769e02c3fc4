// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_BATCHMATMUL_QUANT_H
#define TANDEM_ACLNNOP_ACLNN_BATCHMATMUL_QUANT_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// out = sat8(round half even((x1 @ x2 + bias) * scale + offset)), scale and offset of the words of quantParam.
ACLNN_API aclnnStatus aclnnBatchMatmulQuantGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                            const aclTensor* quantParam, const aclTensor* bias,
                                                            bool transposeX1, bool transposeX2, aclTensor* out,
                                                            uint64_t* workspaceSize, aclOpExecutor** executor);
ACLNN_API aclnnStatus aclnnBatchMatmulQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                            aclrtStream stream);

#ifdef __cplusplus
}
#endif
#endif
