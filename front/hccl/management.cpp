// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "front/acl/runtime.h"
#include "front/hccl/comm.h"
#include "hccl/hccl.h"

// Calls around communicators: suspend and resume, look-ups by name, announcements of memory.
namespace tandem::front {
namespace {

// --- by name

// Handles of this process whose communicator has that name; `device` < 0: on any device.
std::vector<std::pair<const void*, std::shared_ptr<CommHandle>>> named(std::string_view name, int device) {
  auto found = communicators().entries();
  std::erase_if(found, [&](const auto& entry) {
    const Communicator& comm = *entry.second->comm;
    return comm.name() != name || (device >= 0 && comm.device() != device);
  });
  return found;
}

HcclResult handle_of(const char* name, HcclComm* handle) {
  constexpr std::string_view kCall = "HcclCommGetHandleWithName";
  if (name == nullptr || handle == nullptr)
    return refuse(HCCL_E_PTR, "{}: a null pointer, a name and a place wanted", kCall);
  const auto context = current_context();
  if (!context) return refuse(HCCL_E_RUNTIME, "{}: no device, aclrtSetDevice before it wanted", kCall);
  const auto found = named(name, context->device);
  if (found.empty()) {
    return refuse(HCCL_E_NOT_FOUND, "{}: '{}' on device {}, the name of a communicator wanted", kCall, name,
                  context->device);
  }
  *handle = const_cast<void*>(found.front().first);
  return HCCL_SUCCESS;
}

HcclResult status_of(const char* name, HcclCommStatus* status) {
  if (name == nullptr || status == nullptr) {
    return refuse(HCCL_E_PTR, "HcclCommGetStatus: a null pointer, a name and a place wanted");
  }
  const auto found = named(name, -1);
  const bool suspended = std::ranges::any_of(found, [](const auto& entry) { return entry.second->suspended.load(); });
  const bool dead = std::ranges::any_of(found, [](const auto& entry) { return !entry.second->comm->health(); });
  *status = found.empty() || dead ? HCCL_COMM_STATUS_INVALID
            : suspended           ? HCCL_COMM_STATUS_SUSPENDING
                                  : HCCL_COMM_STATUS_READY;
  return HCCL_SUCCESS;
}

HcclResult suspend(std::string_view call, HcclComm comm, bool suspended) {
  return with_handle(call, comm, true, [&](const std::shared_ptr<CommHandle>& found) {
    found->suspended = suspended;
    return HCCL_SUCCESS;
  });
}

// --- memory

// A range that a program announced; collectives do not look at it.
struct Range {
  HcclComm comm;
  char* first;
  size_t size;
};

HandleTable<Range>& windows() {
  static HandleTable<Range>& table = *new HandleTable<Range>;
  return table;
}

HcclResult check_range(std::string_view call, const void* address, size_t size) {
  if (address == nullptr) return refuse(HCCL_E_PTR, "{}: the address is null, memory wanted", call);
  if (size == 0) return refuse(HCCL_E_PARA, "{}: size 0, bytes from 1 wanted", call);
  return HCCL_SUCCESS;
}

HcclResult announce(std::string_view call, HcclComm comm, const void* address, size_t size) {
  return with_comm(call, comm, true, [&](const Communicator&) { return check_range(call, address, size); });
}

HcclResult find_window(const Range& wanted, HcclCommSymWindow* window, size_t* offset) {
  for (const auto& [handle, range] : windows().entries()) {
    const bool inside = wanted.first >= range->first && wanted.size <= range->size &&
                        static_cast<size_t>(wanted.first - range->first) <= range->size - wanted.size;
    if (range->comm != wanted.comm || !inside) continue;
    *window = const_cast<void*>(handle);
    *offset = static_cast<size_t>(wanted.first - range->first);
    return HCCL_SUCCESS;
  }
  return refuse(HCCL_E_NOT_FOUND, "HcclCommSymWinGet: {} bytes at {}, memory of a registered window wanted",
                wanted.size, static_cast<const void*>(wanted.first));
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using tandem::Communicator;

extern "C" {

HcclResult HcclCommSuspend(HcclComm comm) { return front::suspend("HcclCommSuspend", comm, true); }

HcclResult HcclCommResume(HcclComm comm) { return front::suspend("HcclCommResume", comm, false); }

HcclResult HcclCommGetHandleWithName(const char* commName, HcclComm* comm) {
  return front::hccl_call([&] { return front::handle_of(commName, comm); });
}

HcclResult HcclCommGetStatus(const char* commId, HcclCommStatus* status) {
  return front::hccl_call([&] { return front::status_of(commId, status); });
}

HcclResult HcclCommSetMemoryRange(HcclComm comm, void* baseVirPtr, size_t size, size_t /*alignment*/,
                                  uint64_t /*flags*/) {
  return front::announce("HcclCommSetMemoryRange", comm, baseVirPtr, size);
}

HcclResult HcclCommUnsetMemoryRange(HcclComm comm, void* baseVirPtr) {
  return front::announce("HcclCommUnsetMemoryRange", comm, baseVirPtr, 1);
}

HcclResult HcclCommActivateCommMemory(HcclComm comm, void* virPtr, size_t size, size_t /*offset*/,
                                      aclrtDrvMemHandle handle, uint64_t /*flags*/) {
  if (handle == nullptr) {
    return front::hccl_call([&] {
      return front::refuse(HCCL_E_PTR, "HcclCommActivateCommMemory: handle is null, one of aclrtMallocPhysical wanted");
    });
  }
  return front::announce("HcclCommActivateCommMemory", comm, virPtr, size);
}

HcclResult HcclCommDeactivateCommMemory(HcclComm comm, void* virPtr) {
  return front::announce("HcclCommDeactivateCommMemory", comm, virPtr, 1);
}

HcclResult HcclCommSymWinRegister(HcclComm comm, void* addr, uint64_t size, HcclCommSymWindow* winHandle,
                                  uint32_t /*flag*/) {
  return front::with_comm("HcclCommSymWinRegister", comm, winHandle != nullptr, [&](const Communicator&) {
    const HcclResult code = front::check_range("HcclCommSymWinRegister", addr, size);
    if (code != HCCL_SUCCESS) return code;
    *winHandle = front::windows().insert(
        std::make_shared<front::Range>(front::Range{comm, static_cast<char*>(addr), static_cast<size_t>(size)}));
    return HCCL_SUCCESS;
  });
}

HcclResult HcclCommSymWinDeregister(HcclCommSymWindow winHandle) {
  return front::hccl_call([&]() -> HcclResult {
    if (front::windows().take(winHandle)) return HCCL_SUCCESS;
    return front::refuse(HCCL_E_PARA, "HcclCommSymWinDeregister: unknown window, a registered one wanted");
  });
}

HcclResult HcclCommSymWinGet(HcclComm comm, void* ptr, size_t size, HcclCommSymWindow* winHandle, size_t* offset) {
  const bool places = ptr != nullptr && winHandle != nullptr && offset != nullptr;
  return front::with_comm("HcclCommSymWinGet", comm, places, [&](const Communicator&) {
    return front::find_window({comm, static_cast<char*>(ptr), size}, winHandle, offset);
  });
}

HcclResult HcclCommWorkingDevNicSet(HcclComm comm, uint32_t* /*ranks*/, bool* /*useBackup*/, uint32_t /*nRanks*/) {
  return front::with_comm("HcclCommWorkingDevNicSet", comm, true, [&](const Communicator&) {
    return front::refuse(HCCL_E_NOT_SUPPORT, "HcclCommWorkingDevNicSet: there are no network cards to choose between");
  });
}

}  // extern "C"
