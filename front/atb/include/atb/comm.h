// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "atb/types.h"

#pragma GCC visibility push(default)
namespace atb {

using HcclComm = void*;

// Communicators of a program's own, for the hcclComm of parameters. commName: 128 bytes that take the name, or null.
// Null is returned on failure; aclGetRecentErrMsg() has the reason.
namespace Comm {

HcclComm CreateHcclComm(int32_t rank, int32_t rankRoot, int32_t rankSize, char* commName);
HcclComm CreateHcclCommByRankTableFile(int32_t rank, int32_t rankSize, const char* rankTableFile, char* commName);
// The spelling is the vendor's. A communicator of the ranks rankIds of the table, the own one being number
// subCommRankId of them; ranks outside have an empty list and get null.
HcclComm CreateHcclCrossMulitComm(const char* rankTableFile, uint32_t subCommRankId, std::vector<uint32_t>& rankIds,
                                  uint64_t subCommId, uint32_t hcclBufferSize, char* commName);
Status DestoryHcclComm(HcclComm comm);

}  // namespace Comm
}  // namespace atb
#pragma GCC visibility pop
