// SPDX-License-Identifier: Apache-2.0
#include "front/hccl/group.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "front/hccl/comm.h"

namespace tandem::front {
namespace {

// Messages of one communicator on one stream.
struct Batch {
  HcclComm comm;
  aclrtStream stream;
  std::vector<HcclSendRecvItem> items;
};

thread_local int t_depth = 0;

std::vector<Batch>& batches() {
  thread_local std::vector<Batch> list;
  return list;
}

HcclResult start_all() {
  HcclResult first = HCCL_SUCCESS;
  for (Batch& batch : std::exchange(batches(), {})) {
    const auto count = static_cast<uint32_t>(batch.items.size());
    const HcclResult code = HcclBatchSendRecv(batch.items.data(), count, batch.comm, batch.stream);
    if (first == HCCL_SUCCESS) first = code;
  }
  return first;
}

}  // namespace

bool in_group() noexcept { return t_depth > 0; }

HcclResult defer(const HcclSendRecvItem& item, HcclComm comm, aclrtStream stream) noexcept {
  return hccl_call([&]() -> HcclResult {
    auto& list = batches();
    auto batch = std::ranges::find_if(list, [&](const Batch& b) { return b.comm == comm && b.stream == stream; });
    if (batch == list.end()) batch = list.insert(list.end(), Batch{comm, stream, {}});
    batch->items.push_back(item);
    return HCCL_SUCCESS;
  });
}

}  // namespace tandem::front

namespace front = tandem::front;

extern "C" {

HcclResult HcclGroupStart() {
  ++front::t_depth;
  return HCCL_SUCCESS;
}

HcclResult HcclGroupEnd() {
  return front::hccl_call([&]() -> HcclResult {
    if (front::t_depth == 0) {
      return front::refuse(HCCL_E_NOT_SUPPORT, "HcclGroupEnd: no group is open, HcclGroupStart before it wanted");
    }
    return --front::t_depth > 0 ? HCCL_SUCCESS : front::start_all();
  });
}

HcclResult HcclGroupStatusGet(bool* inGroup) {
  return front::hccl_call([&]() -> HcclResult {
    if (inGroup == nullptr) return front::refuse(HCCL_E_PTR, "HcclGroupStatusGet: inGroup is null, a place wanted");
    *inGroup = front::in_group();
    return HCCL_SUCCESS;
  });
}

}  // extern "C"
