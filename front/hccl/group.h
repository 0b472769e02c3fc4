// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "hccl/hccl.h"

namespace tandem::front {

// Whether the calling thread is between HcclGroupStart and HcclGroupEnd.
bool in_group() noexcept;
// Keeps a message of an open group until its end.
HcclResult defer(const HcclSendRecvItem& item, HcclComm comm, aclrtStream stream) noexcept;

}  // namespace tandem::front
