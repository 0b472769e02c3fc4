/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TANDEM_ACL_BASE_MDL_H
#define TANDEM_ACL_BASE_MDL_H
#include "acl/acl_base_rt.h"

/* Handles of recorded graphs. No function of this library takes them yet. */
typedef void* aclmdlRI;
typedef void* aclmdlRITask;

#endif
