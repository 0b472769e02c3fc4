/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TANDEM_ACL_RT_ALLOCATOR_H
#define TANDEM_ACL_RT_ALLOCATOR_H
#include "acl/acl_base.h"

/* Allocators given by the caller are not used by this library; the header exists for programs that include it. */

#endif
