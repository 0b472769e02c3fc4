// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <set>

#include "front/acl/runtime.h"
#include "front/hccl/comm.h"
#include "front/hccl/config.h"
#include "hccl/hccl.h"
#include "tandem/base/env.h"
#include "tandem/comm/communicator.h"
#include "tandem/comm/rank_table.h"

// How communicators come about: of one process, by root info, by rank table, from another communicator.
namespace tandem::front {
namespace {

constexpr std::string_view kRootAddress = "127.0.0.1";
constexpr size_t kTokenAt = 64;
constexpr size_t kTokenBytes = 16;
constexpr size_t kPlaceBytes = 512;  // of the meeting place with its magic, and a closing zero
constexpr std::string_view kRootMagic = "tandem-root-1 ";

// --- all ranks of this process

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
  warn_of_unused_variables();
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

// --- one rank that meets others

// The calling thread's device, the build and the config: what every such call begins with.
struct Start {
  int device = 0;
  ConfigValues values;
};

// `wanted` says whether a config must be there. On failure the code, with its text remembered.
HcclResult begin(std::string_view call, const HcclCommConfig* config, bool wanted, Start& start) {
  warn_of_unused_variables();
  if (const Status same = same_build(call); !same) return refuse(same.error());
  if (wanted && config == nullptr) return refuse(HCCL_E_PTR, "{}: config is null, a config wanted", call);
  const auto context = current_context();
  if (!context) return refuse(HCCL_E_RUNTIME, "{}: no device, aclrtSetDevice before it wanted", call);
  start.device = context->device;
  if (config == nullptr) return HCCL_SUCCESS;
  auto values = read_config(*config);
  if (!values) return refuse(HCCL_E_PARA, "{}: {}", call, values.error().message);
  start.values = std::move(*values);
  return HCCL_SUCCESS;
}

HcclResult finish(Expected<std::shared_ptr<Communicator>> made, HcclComm* handle) {
  if (!made) return refuse(made.error());
  *handle = insert(std::move(*made));
  return HCCL_SUCCESS;
}

HcclResult meet(Rendezvous rendezvous, const Start& start, HcclComm* handle) {
  rendezvous.device = start.device;
  rendezvous.call_s = start.values.call_s;
  if (!start.values.name.empty()) rendezvous.name = start.values.name;
  return finish(Communicator::connect(rendezvous, start.values.window_bytes), handle);
}

// --- root info

// With HCCL_IF_IP the ranks may live on several hosts and meet at a port of that address.
std::string meeting_place(const std::string& token) {
  const auto address = env_text("HCCL_IF_IP");
  if (!address) return token;
  const auto base = env_integer("HCCL_IF_BASE_PORT", 1024, 64535).value_or(60000);
  const auto port = base + static_cast<int64_t>(std::hash<std::string>{}(token) % 1000);
  const bool colons = address->find(':') != std::string::npos;
  return fmt::format("tcp://{}{}{}:{}/{}", colons ? "[" : "", *address, colons ? "]" : "", port, token);
}

// Text in IPv4 form first, as programs expect; then what our ranks meet at.
HcclResult make_root_info(HcclRootInfo& info) {
  unsigned char token[kTokenBytes];
  if (getrandom(token, sizeof(token), 0) != static_cast<ssize_t>(sizeof(token))) {
    return refuse(HCCL_E_SYSCALL, "HcclGetRootInfo: the system gave no random bytes");
  }
  std::string text;
  for (const unsigned char byte : token) text += fmt::format("{:02x}", byte);
  const std::string address = std::string(kRootMagic) + meeting_place(text);
  if (address.size() >= kPlaceBytes) {
    return refuse(HCCL_E_PARA, "HcclGetRootInfo: HCCL_IF_IP of {} bytes, an address wanted", address.size());
  }
  info = {};
  std::memcpy(info.internal, kRootAddress.data(), kRootAddress.size());
  std::memcpy(info.internal + kTokenAt, address.data(), address.size());
  return HCCL_SUCCESS;
}

// The meeting place in a root info, empty when it is none of ours.
std::string address_of(const HcclRootInfo& info) {
  const char* first = info.internal + kTokenAt;
  const std::string_view text(first, strnlen(first, kPlaceBytes));
  if (text.substr(0, kRootMagic.size()) != kRootMagic) return {};
  const std::string_view place = text.substr(kRootMagic.size());
  return place.size() < 2 * kTokenBytes ? std::string() : std::string(place);
}

HcclResult init_root(std::string_view call, uint32_t size, const HcclRootInfo* info, uint32_t rank,
                     const HcclCommConfig* config, bool with_config, HcclComm* handle) {
  if (info == nullptr || handle == nullptr) {
    return refuse(HCCL_E_PTR, "{}: a null pointer, root info and a place wanted", call);
  }
  if (size == 0 || size > INT32_MAX || rank >= size) {
    return refuse(HCCL_E_PARA, "{}: rank {} of {}, a rank below nRanks wanted", call, rank, size);
  }
  Start start;
  if (const HcclResult code = begin(call, config, with_config, start); code != HCCL_SUCCESS) return code;
  const std::string address = address_of(*info);
  if (address.empty()) return refuse(HCCL_E_PARA, "{}: unknown root info, one of HcclGetRootInfo wanted", call);
  const Rendezvous rendezvous{.rank = static_cast<int>(rank),
                              .size = static_cast<int>(size),
                              .name = fmt::format("{}_60000_0_{}", kRootAddress,
                                                  std::string_view(address).substr(address.size() - 2 * kTokenBytes)),
                              .address = address};
  return meet(rendezvous, start, handle);
}

// --- rank table

// The vendor's number for tables: their form, or entries and ranks that do not fit.
HcclResult refuse_table(std::string_view call, const Error& error) {
  const bool form = error.code == ErrorCode::malformed || error.code == ErrorCode::io;
  const HcclResult code = error.code == ErrorCode::io ? HCCL_E_OPEN_FILE_FAILURE : hccl_code(error.code);
  return refuse_text(code, fmt::format("{}: {}", call, error.message), form ? "EI0004" : "EI0014");
}

HcclResult meet_by(std::string_view call, const Expected<RankTable>& table, std::string_view file, uint32_t rank,
                   const Start& start, HcclComm* handle) {
  if (!table) return refuse_table(call, table.error());
  const int own = rank > INT32_MAX ? -1 : static_cast<int>(rank);
  const auto rendezvous = rendezvous_of(*table, own, file);
  if (!rendezvous) return refuse_table(call, rendezvous.error());
  return meet(*rendezvous, start, handle);
}

HcclResult init_cluster(std::string_view call, const char* path, uint32_t rank, const HcclCommConfig* config,
                        bool with_config, HcclComm* handle) {
  if (handle == nullptr) return refuse(HCCL_E_PTR, "{}: comm is null, a place wanted", call);
  const std::string file = path != nullptr && *path != '\0' ? path : env_text("RANK_TABLE_FILE").value_or("");
  if (file.empty()) return refuse(HCCL_E_PTR, "{}: no file, a path or RANK_TABLE_FILE wanted", call);
  Start start;
  if (const HcclResult code = begin(call, config, with_config, start); code != HCCL_SUCCESS) return code;
  return meet_by(call, read_rank_table(file), file, rank, start, handle);
}

HcclResult init_cluster_text(const char* text, uint32_t rank, const HcclCommConfig* config, HcclComm* handle) {
  constexpr std::string_view kCall = "HcclCommInitClusterInfoMemConfig", kPlace = "in memory";
  if (text == nullptr || handle == nullptr) {
    return refuse(HCCL_E_PTR, "{}: a null pointer, the text of a rank table and a place wanted", kCall);
  }
  Start start;
  if (const HcclResult code = begin(kCall, config, true, start); code != HCCL_SUCCESS) return code;
  const auto table = parse_rank_table({text, strnlen(text, kMaxTableBytes + 1)}, kPlace);
  if (table && !table->completed) {
    return refuse_table(kCall, {ErrorCode::malformed, "status is \"initializing\", \"completed\" wanted"});
  }
  return meet_by(kCall, table, kPlace, rank, start, handle);
}

// --- from another communicator

constexpr uint64_t kNoGroup = 0xffffffffu;  // the id with which ranks outside may call

struct SubGroup {
  uint32_t size;
  const uint32_t* ranks;
  uint64_t id;
  uint32_t own;
};

HcclResult create_sub(HcclComm* parent, const SubGroup& group, const HcclCommConfig* config, HcclComm* handle) {
  constexpr std::string_view kCall = "HcclCreateSubCommConfig";
  if (parent == nullptr || handle == nullptr) {
    return refuse(HCCL_E_PTR, "{}: a null pointer, a communicator and a place wanted", kCall);
  }
  *handle = nullptr;
  if (group.ranks == nullptr && group.size == 0 && group.id == kNoGroup) return HCCL_SUCCESS;
  if (group.ranks == nullptr || config == nullptr) {
    return refuse(HCCL_E_PTR, "{}: a null pointer, a list of ranks and a config wanted", kCall);
  }
  auto values = read_config(*config);
  if (!values) return refuse(HCCL_E_PARA, "{}: {}", kCall, values.error().message);
  return with_comm(kCall, *parent, true, [&](const Communicator& comm) -> HcclResult {
    const auto most = static_cast<uint32_t>(comm.size());
    if (group.size == 0 || group.size > most || group.own >= group.size) {
      return refuse(HCCL_E_PARA, "{}: rank {} of {}, at most {} ranks and one of them wanted", kCall, group.own,
                    group.size, most);
    }
    const std::vector<int> ranks(group.ranks, group.ranks + group.size);
    if (ranks[group.own] != comm.rank()) {
      return refuse(HCCL_E_PARA, "{}: rankIds[{}] is {}, this rank's {} wanted", kCall, group.own, ranks[group.own],
                    comm.rank());
    }
    return finish(comm.split(ranks, group.id, values->name, values->window_bytes, values->call_s), handle);
  });
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;

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
  return front::hccl_call(
      [&] { return front::init_root("HcclCommInitRootInfo", nRanks, rootInfo, rank, nullptr, false, comm); });
}

HcclResult HcclCommInitRootInfoConfig(uint32_t nRanks, const HcclRootInfo* rootInfo, uint32_t rank,
                                      const HcclCommConfig* config, HcclComm* comm) {
  return front::hccl_call(
      [&] { return front::init_root("HcclCommInitRootInfoConfig", nRanks, rootInfo, rank, config, true, comm); });
}

HcclResult HcclCommInitClusterInfo(const char* clusterInfo, uint32_t rank, HcclComm* comm) {
  return front::hccl_call(
      [&] { return front::init_cluster("HcclCommInitClusterInfo", clusterInfo, rank, nullptr, false, comm); });
}

HcclResult HcclCommInitClusterInfoConfig(const char* clusterInfo, uint32_t rank, HcclCommConfig* config,
                                         HcclComm* comm) {
  return front::hccl_call(
      [&] { return front::init_cluster("HcclCommInitClusterInfoConfig", clusterInfo, rank, config, true, comm); });
}

HcclResult HcclCommInitClusterInfoMemConfig(const char* rankTableString, uint32_t rank, HcclCommConfig* config,
                                            HcclComm* comm) {
  return front::hccl_call([&] { return front::init_cluster_text(rankTableString, rank, config, comm); });
}

HcclResult HcclCreateSubCommConfig(HcclComm* comm, uint32_t rankNum, uint32_t* rankIds, uint64_t subCommId,
                                   uint32_t subCommRankId, HcclCommConfig* config, HcclComm* subComm) {
  return front::hccl_call([&] {
    return front::create_sub(comm, {rankNum, rankIds, subCommId, subCommRankId}, config, subComm);
  });
}

}  // extern "C"
