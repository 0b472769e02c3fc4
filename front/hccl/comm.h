// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <string_view>
#include <utility>

#include "front/acl/error.h"
#include "front/acl/handles.h"
#include "hccl/hccl_types.h"
#include "tandem/comm/communicator.h"

// What the calls on communicators share.
namespace tandem::front {

struct CommHandle {
  std::shared_ptr<Communicator> comm;
  std::atomic<bool> suspended{false};  // HcclCommSuspend: collectives are refused until HcclCommResume
};
HandleTable<CommHandle>& communicators();
// The handle of a communicator that was just made.
void* insert(std::shared_ptr<Communicator> comm);

HcclResult hccl_code(ErrorCode code);

// Remembers the text for this thread and returns the code. `mark` is the vendor's number of the kind of error.
HcclResult refuse_text(HcclResult code, std::string_view text, std::string_view mark = "EI0001") noexcept;
HcclResult refuse(const Error& error) noexcept;
template <class... Args>
HcclResult refuse(HcclResult code, fmt::format_string<Args...> format, Args&&... args) {
  return refuse_text(code, fmt::format(format, std::forward<Args>(args)...));
}

template <class Function>
HcclResult hccl_call(Function&& body) noexcept {
  return static_cast<HcclResult>(guarded(HCCL_E_MEMORY, HCCL_E_INTERNAL, [&] { return static_cast<int>(body()); }));
}

// Runs `body(shared pointer to the handle's object)` or reports the unknown handle.
template <class Body>
HcclResult with_handle(std::string_view call, void* handle, bool arguments, Body&& body) noexcept {
  return hccl_call([&]() -> HcclResult {
    if (handle == nullptr || !arguments)
      return refuse(HCCL_E_PTR, "{}: a null pointer, a communicator and places wanted", call);
    const auto found = communicators().find(handle);
    if (!found) return refuse(HCCL_E_PARA, "{}: unknown communicator, one that was not destroyed wanted", call);
    return body(found);
  });
}

// Runs `body(shared pointer to the communicator)`.
template <class Body>
HcclResult with_shared_comm(std::string_view call, void* handle, bool arguments, Body&& body) noexcept {
  return with_handle(call, handle, arguments,
                     [&](const std::shared_ptr<CommHandle>& found) { return body(found->comm); });
}

template <class Body>
HcclResult with_comm(std::string_view call, void* handle, bool arguments, Body&& body) noexcept {
  return with_shared_comm(call, handle, arguments,
                          [&](const std::shared_ptr<Communicator>& comm) { return body(*comm); });
}

}  // namespace tandem::front
