// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/communicator.h"

#include <atomic>
#include <cstring>

#include "front/acl/runtime.h"
#include "front/hccl/comm.h"
#include "hccl/hccl.h"

namespace tandem::front {

HcclResult hccl_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::null_argument: return HCCL_E_PTR;
    case ErrorCode::invalid_argument:
    case ErrorCode::mismatch:
    case ErrorCode::malformed: return HCCL_E_PARA;
    case ErrorCode::unsupported: return HCCL_E_NOT_SUPPORT;
    case ErrorCode::out_of_memory: return HCCL_E_MEMORY;
    case ErrorCode::peer_lost: return HCCL_E_REMOTE;
    case ErrorCode::timed_out: return HCCL_E_TIMEOUT;
    case ErrorCode::cancelled: return HCCL_E_SUSPENDING;
    case ErrorCode::io: return HCCL_E_SYSCALL;
    case ErrorCode::internal: return HCCL_E_INTERNAL;
  }
  return HCCL_E_INTERNAL;
}

HandleTable<CommHandle>& communicators() {
  static HandleTable<CommHandle>& table = *new HandleTable<CommHandle>;
  return table;
}

HcclResult refuse_text(HcclResult code, std::string_view text, std::string_view mark) noexcept {
  report(code, mark, text);
  return code;
}

void* insert(std::shared_ptr<Communicator> comm) {
  auto handle = std::make_shared<CommHandle>();
  handle->comm = std::move(comm);
  return communicators().insert(std::move(handle));
}

HcclResult refuse(const Error& error) noexcept { return refuse_text(hccl_code(error.code), error.message); }

namespace {

HcclResult copy_name(const Communicator& comm, char* target) {
  const std::string& name = comm.name();
  if (name.size() >= COMM_NAME_MAX_LENGTH) return refuse(HCCL_E_INTERNAL, "HcclGetCommName: the name is too long");
  std::memcpy(target, name.c_str(), name.size() + 1);
  return HCCL_SUCCESS;
}

std::atomic<int32_t> g_deterministic{0};

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using tandem::Communicator;

extern "C" {

HcclResult HcclCommDestroy(HcclComm comm) {
  return front::hccl_call([&]() -> HcclResult {
    if (comm == nullptr) return front::refuse(HCCL_E_PTR, "HcclCommDestroy: comm is null, a communicator wanted");
    const auto taken = front::communicators().take(comm);
    if (!taken) {
      return front::refuse(HCCL_E_PARA, "HcclCommDestroy: unknown communicator, one that was not destroyed wanted");
    }
    taken->comm->retire();
    return HCCL_SUCCESS;
  });
}

HcclResult HcclGetCommName(HcclComm comm, char* commName) {
  return front::with_comm("HcclGetCommName", comm, commName != nullptr,
                          [&](const Communicator& found) { return front::copy_name(found, commName); });
}

HcclResult HcclGetRankSize(HcclComm comm, uint32_t* rankSize) {
  return front::with_comm("HcclGetRankSize", comm, rankSize != nullptr, [&](const Communicator& found) {
    *rankSize = static_cast<uint32_t>(found.size());
    return HCCL_SUCCESS;
  });
}

HcclResult HcclGetRankId(HcclComm comm, uint32_t* rank) {
  return front::with_comm("HcclGetRankId", comm, rank != nullptr, [&](const Communicator& found) {
    *rank = static_cast<uint32_t>(found.rank());
    return HCCL_SUCCESS;
  });
}

HcclResult HcclGetCommAsyncError(HcclComm comm, HcclResult* asyncError) {
  return front::with_comm("HcclGetCommAsyncError", comm, asyncError != nullptr, [&](const Communicator& found) {
    const auto health = found.health();
    *asyncError = health ? HCCL_SUCCESS : front::refuse(health.error());
    return HCCL_SUCCESS;
  });
}

const char* HcclGetErrorString(HcclResult code) {
  static constexpr const char* kTexts[] = {"no error",
                                           "parameter error",
                                           "empty pointer",
                                           "memory error",
                                           "internal error",
                                           "not support feature",
                                           "not found specific resource",
                                           "resource unavailable",
                                           "call system interface error",
                                           "timeout",
                                           "open file fail",
                                           "tcp connect fail",
                                           "roce connect fail",
                                           "tcp transfer fail",
                                           "roce transfer fail",
                                           "call runtime api fail",
                                           "call driver api fail",
                                           "call profiling api fail",
                                           "call cce api fail",
                                           "call network api fail",
                                           "try again",
                                           "error cqe",
                                           "error communicator suspending",
                                           "retry constraint",
                                           "out of memory"};
  uint32_t index = 0;
  std::memcpy(&index, &code, sizeof(index));
  return index < std::size(kTexts) ? kTexts[index] : "unknown error";
}

uint32_t HcclGetCommConfigCapability() { return HCCL_COMM_CONFIG_RESERVED; }

HcclResult HcclSetConfig(HcclConfig config, HcclConfigValue configValue) {
  constexpr int32_t kStrict = 2;
  return front::hccl_call([&]() -> HcclResult {
    if (config != HCCL_DETERMINISTIC || configValue.value < 0 || configValue.value > kStrict) {
      return front::refuse(HCCL_E_PARA, "HcclSetConfig: value {}, HCCL_DETERMINISTIC with 0, 1 or 2 wanted",
                           configValue.value);
    }
    front::g_deterministic = configValue.value;
    return HCCL_SUCCESS;
  });
}

HcclResult HcclGetConfig(HcclConfig config, HcclConfigValue* configValue) {
  return front::hccl_call([&]() -> HcclResult {
    if (configValue == nullptr) return front::refuse(HCCL_E_PTR, "HcclGetConfig: configValue is null, a place wanted");
    if (config != HCCL_DETERMINISTIC)
      return front::refuse(HCCL_E_PARA, "HcclGetConfig: unknown, HCCL_DETERMINISTIC wanted");
    configValue->value = front::g_deterministic;
    return HCCL_SUCCESS;
  });
}

}  // extern "C"
