/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TANDEM_HCCL_H
#define TANDEM_HCCL_H
#include <hccl/hccl_types.h>

#include <acl/acl.h>
#include <hccl/hccl_comm.h>

#endif
