// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNNOP_ACLNN_TRANS_QUANT_PARAM_H
#define TANDEM_ACLNNOP_ACLNN_TRANS_QUANT_PARAM_H
#include "aclnn/aclnn_base.h"
#include "aclnn_util.h"

#ifdef __cplusplus
extern "C" {
#endif

// The words of aclnnTransQuantParamV2 at once, on the host; *quantParam is malloc'ed, its caller frees it.
ACLNN_API aclnnStatus aclnnTransQuantParam(const float* scaleArray, uint64_t scaleSize, const float* offsetArray,
                                           uint64_t offsetSize, uint64_t** quantParam, uint64_t* quantParamSize);

#ifdef __cplusplus
}
#endif
#endif
