/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TANDEM_ACL_OP_H
#define TANDEM_ACL_OP_H
#include "acl/acl_base.h"

/* The vendor's interface to compiled operators lies outside this library; the header exists for programs that include
 * it. */

#endif
