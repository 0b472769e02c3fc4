// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNN_BASE_H
#define TANDEM_ACLNN_BASE_H
#include "aclnn/acl_meta.h"

#ifdef __cplusplus
extern "C" {
#endif

ACL_FUNC_VISIBILITY aclnnStatus aclnnInit(const char* configPath);
ACL_FUNC_VISIBILITY aclnnStatus aclnnFinalize();

#ifdef __cplusplus
}
#endif
#endif
