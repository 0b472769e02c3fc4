// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/communicator.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <set>

#include "front/acl/runtime.h"
#include "front/hccl/comm.h"
#include "hccl/hccl.h"
#include "tandem/base/env.h"

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

HcclResult refuse_text(HcclResult code, std::string_view text) noexcept {
  report(code, "EI0001", text);
  return code;
}

HcclResult refuse(const Error& error) noexcept { return refuse_text(hccl_code(error.code), error.message); }

namespace {

void* insert(std::shared_ptr<Communicator> comm) {
  return communicators().insert(std::make_shared<CommHandle>(CommHandle{std::move(comm)}));
}

// An address and a port that are none, in the vendor's form; the last part makes the name unique on the host.
std::string fresh_name(int first_device) {
  static std::atomic<uint32_t> count{0};
  return fmt::format("127.0.0.1_60000_{}_{}{:04}", first_device, getpid(), count.fetch_add(1));
}

Expected<std::vector<int>> device_list(uint32_t count, const int32_t* devices) {
  std::vector<int> indices;
  std::set<int> seen;
  for (uint32_t rank = 0; rank < count; ++rank) {
    const auto index = device_index(devices == nullptr ? static_cast<int>(rank) : devices[rank]);
    if (!index) return fail(index.error());
    if (!seen.insert(*index).second) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("device {} is listed twice, different devices wanted", *index));
    }
    indices.push_back(*index);
  }
  return indices;
}

HcclResult init_all(uint32_t count, const int32_t* devices, HcclComm* handles) {
  if (const Status same = same_build("HcclCommInitAll"); !same) return refuse(same.error());
  if (handles == nullptr) return refuse(HCCL_E_PTR, "HcclCommInitAll: comms is null, places for the handles wanted");
  if (count == 0) return refuse(HCCL_E_PARA, "HcclCommInitAll: ndev 0, at least 1 wanted");
  const auto indices = device_list(count, devices);
  if (!indices) return refuse(HCCL_E_PARA, "HcclCommInitAll: {}", indices.error().message);
  auto ranks = Communicator::local(static_cast<int>(count), *indices, fresh_name(indices->front()));
  if (!ranks) return refuse(ranks.error());
  for (uint32_t rank = 0; rank < count; ++rank) handles[rank] = insert(std::move((*ranks)[rank]));
  return HCCL_SUCCESS;
}

constexpr std::string_view kRootAddress = "127.0.0.1";
constexpr size_t kTokenAt = 64;
constexpr size_t kTokenBytes = 16;
constexpr std::string_view kRootMagic = "tandem-root-1 ";

// Text in IPv4 form first, as programs expect; then what our ranks meet at.
HcclResult make_root_info(HcclRootInfo& info) {
  unsigned char token[kTokenBytes];
  if (getrandom(token, sizeof(token), 0) != static_cast<ssize_t>(sizeof(token))) {
    return refuse(HCCL_E_SYSCALL, "HcclGetRootInfo: the system gave no random bytes");
  }
  std::string address(kRootMagic);
  for (const unsigned char byte : token) address += fmt::format("{:02x}", byte);
  info = {};
  std::memcpy(info.internal, kRootAddress.data(), kRootAddress.size());
  std::memcpy(info.internal + kTokenAt, address.data(), address.size());
  return HCCL_SUCCESS;
}

// The meeting place in a root info, empty when it is none of ours.
std::string address_of(const HcclRootInfo& info) {
  constexpr size_t kLength = kRootMagic.size() + 2 * kTokenBytes;
  const std::string_view text(info.internal + kTokenAt, kLength);
  if (text.substr(0, kRootMagic.size()) != kRootMagic) return {};
  return std::string(text.substr(kRootMagic.size()));
}

// What a config says, as far as its own size reaches.
struct ConfigValues {
  uint32_t buffer_mb = HCCL_COMM_BUFFSIZE_CONFIG_NOT_SET;
  std::string name;
};

Expected<ConfigValues> read_config(const HcclCommConfig& config) {
  size_t size = 0;
  uint32_t magic = 0;
  std::memcpy(&size, config.reserved, sizeof(size));
  std::memcpy(&magic, config.reserved + sizeof(size), sizeof(magic));
  constexpr size_t kLeast = offsetof(HcclCommConfig, hcclUdi);
  if (magic != HCCL_COMM_CONFIG_MAGIC_WORD || size < offsetof(HcclCommConfig, hcclCommName)) {
    return fail(ErrorCode::invalid_argument, "config was not set up, HcclCommConfigInit before it wanted");
  }
  ConfigValues values;
  values.buffer_mb = config.hcclBufferSize;
  if (size < kLeast) return values;
  const size_t length = strnlen(config.hcclCommName, sizeof(config.hcclCommName));
  if (length == sizeof(config.hcclCommName)) {
    return fail(ErrorCode::invalid_argument, "config's hcclCommName has 128 characters, at most 127 wanted");
  }
  values.name.assign(config.hcclCommName, length);
  return values;
}

// The configured buffer bounds the window from above; it never makes it larger than without a config.
size_t window_bytes(const ConfigValues& values) {
  constexpr int64_t kDefaultWindowMb = 8;
  const int64_t usual_mb = env_integer("TANDEM_WINDOW_MB", 1, INT32_MAX).value_or(kDefaultWindowMb);
  if (values.buffer_mb >= usual_mb) return 0;
  return static_cast<size_t>(values.buffer_mb) << 20;
}

HcclResult init_root(uint32_t size, const HcclRootInfo* info, uint32_t rank, const HcclCommConfig* config,
                     HcclComm* handle) {
  if (const Status same = same_build("HcclCommInitRootInfo"); !same) return refuse(same.error());
  if (info == nullptr || handle == nullptr) {
    return refuse(HCCL_E_PTR, "HcclCommInitRootInfo: a null pointer, root info and a place wanted");
  }
  if (size == 0 || size > INT32_MAX || rank >= size) {
    return refuse(HCCL_E_PARA, "HcclCommInitRootInfo: rank {} of {}, a rank below nRanks wanted", rank, size);
  }
  const std::string address = address_of(*info);
  if (address.empty())
    return refuse(HCCL_E_PARA, "HcclCommInitRootInfo: unknown root info, one of HcclGetRootInfo wanted");
  const auto context = current_context();
  if (!context) return refuse(HCCL_E_RUNTIME, "HcclCommInitRootInfo: no device, aclrtSetDevice before it wanted");
  ConfigValues values;
  if (config != nullptr) {
    auto read = read_config(*config);
    if (!read) return refuse(HCCL_E_PARA, "HcclCommInitRootInfoConfig: {}", read.error().message);
    values = std::move(*read);
  }
  if (values.name.empty()) values.name = fmt::format("{}_60000_0_{}", kRootAddress, address);
  Rendezvous rendezvous{.rank = static_cast<int>(rank),
                        .size = static_cast<int>(size),
                        .name = values.name,
                        .address = address,
                        .device = context->device};
  auto comm = Communicator::connect(rendezvous, window_bytes(values));
  if (!comm) return refuse(comm.error());
  *handle = insert(std::move(*comm));
  return HCCL_SUCCESS;
}

HcclResult later(std::string_view call) noexcept {
  return hccl_call([&] {
    return refuse(HCCL_E_NOT_SUPPORT, "{}: not in this version, HcclCommInitAll or HcclCommInitRootInfo wanted", call);
  });
}

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

HcclResult HcclCommInitAll(uint32_t ndev, int32_t* devices, HcclComm* comms) {
  return front::hccl_call([&] { return front::init_all(ndev, devices, comms); });
}

HcclResult HcclGetRootInfo(HcclRootInfo* rootInfo) {
  return front::hccl_call([&]() -> HcclResult {
    if (rootInfo == nullptr) return front::refuse(HCCL_E_PTR, "HcclGetRootInfo: rootInfo is null, a place wanted");
    return front::make_root_info(*rootInfo);
  });
}

HcclResult HcclCommInitRootInfo(uint32_t nRanks, const HcclRootInfo* rootInfo, uint32_t rank, HcclComm* comm) {
  return front::hccl_call([&] { return front::init_root(nRanks, rootInfo, rank, nullptr, comm); });
}

HcclResult HcclCommInitRootInfoConfig(uint32_t nRanks, const HcclRootInfo* rootInfo, uint32_t rank,
                                      const HcclCommConfig* config, HcclComm* comm) {
  return front::hccl_call([&]() -> HcclResult {
    if (config == nullptr)
      return front::refuse(HCCL_E_PTR, "HcclCommInitRootInfoConfig: config is null, a config wanted");
    return front::init_root(nRanks, rootInfo, rank, config, comm);
  });
}

HcclResult HcclCommInitClusterInfo(const char* /*clusterInfo*/, uint32_t /*rank*/, HcclComm* /*comm*/) {
  return front::later("HcclCommInitClusterInfo");
}

HcclResult HcclCommInitClusterInfoConfig(const char* /*clusterInfo*/, uint32_t /*rank*/, HcclCommConfig* /*config*/,
                                         HcclComm* /*comm*/) {
  return front::later("HcclCommInitClusterInfoConfig");
}

HcclResult HcclCreateSubCommConfig(HcclComm* /*comm*/, uint32_t /*rankNum*/, uint32_t* /*rankIds*/,
                                   uint64_t /*subCommId*/, uint32_t /*subCommRankId*/, HcclCommConfig* /*config*/,
                                   HcclComm* /*subComm*/) {
  return front::later("HcclCreateSubCommConfig");
}

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
