// SPDX-License-Identifier: Apache-2.0
#include "front/atb/group.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <tuple>

#include "atb/comm.h"
#include "front/acl/runtime.h"
#include "front/hccl/comm.h"
#include "hccl/hccl.h"
#include "tandem/base/env.h"
#include "tandem/comm/rank_table.h"

namespace tandem::atbfront {
namespace {

constexpr size_t kMostDomain = 128;

// Communicators that operations made, one for each rank and meeting place. They are not closed with an operation: the
// next one of the same domain uses them.
struct Met {
  std::mutex mutex;
  std::shared_ptr<Communicator> comm;
};
using Key = std::tuple<int, int, int, std::string>;  // device, rank, size, place

std::shared_ptr<Met> met_at(const Key& key) {
  static std::mutex& mutex = *new std::mutex;
  static auto& all = *new std::map<Key, std::shared_ptr<Met>>;
  const std::lock_guard lock(mutex);
  auto& entry = all[key];
  if (!entry) entry = std::make_shared<Met>();
  return entry;
}

// A text the ranks of one domain share: threads of one process are no ranks of another one's group.
std::string place_of(const Group& group) {
  std::string place =
      fmt::format("tandem-operations-{}-{}-{}-{}", getuid(), group.domain,
                  env_text("ATB_SHARE_MEMORY_NAME_SUFFIX").value_or(""), env_text("TANDEM_JOB").value_or(""));
  if (group.mode == atb::infer::COMM_MULTI_THREAD) place += fmt::format("-{}", getpid());
  return place;
}

Expected<Rendezvous> rendezvous_at(const Group& group, const std::string& place) {
  if (group.table.empty()) {
    const auto hash = static_cast<uint64_t>(std::hash<std::string>{}(place));
    return Rendezvous{.rank = group.rank,
                      .size = group.size,
                      .name = fmt::format("operations_{:016x}_{}", hash, group.size),
                      .address = place};
  }
  const auto table = read_rank_table(std::string(group.table));
  if (!table) return fail(table.error());
  if (std::ssize(table->ranks) != group.size) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("rankTableFile lists {} ranks, rankSize {} wanted", table->ranks.size(), group.size));
  }
  return rendezvous_of(*table, group.rank, group.table);
}

Outcome<std::shared_ptr<Communicator>> meet(const Group& group, const Device& device) {
  const std::string place = group.table.empty() ? place_of(group) : fmt::format("table {}", group.table);
  const auto met = met_at({device.index(), group.rank, group.size, place});
  const std::lock_guard lock(met->mutex);
  // After a failure the ranks meet anew.
  if (met->comm && met->comm->health()) return met->comm;
  auto rendezvous = rendezvous_at(group, place);
  if (!rendezvous) return refuse(rendezvous.error());
  rendezvous->device = device.index();
  auto made = Communicator::connect(*rendezvous);
  if (!made) return refuse(atb::ERROR_HCCL_FAIL, "{}", made.error().message);
  met->comm = std::move(*made);
  return met->comm;
}

Outcome<std::shared_ptr<Communicator>> own_of(HcclComm handle) {
  const auto found = front::communicators().find(handle);
  if (!found) return refuse(atb::ERROR_INVALID_PARAM, "hcclComm is unknown, one that was not destroyed wanted");
  if (found->suspended) return refuse(atb::ERROR_HCCL_FAIL, "hcclComm is suspended, HcclCommResume before it wanted");
  return found->comm;
}

}  // namespace

Outcome<> check_group(const Group& group, std::string_view backends) {
  const std::string known = fmt::format(" {} ", backends), given = fmt::format(" {} ", group.backend);
  if (group.backend.empty() || known.find(given) == std::string::npos)
    return refuse(atb::ERROR_INVALID_PARAM, "backend is \"{}\", one of {} wanted", group.backend, backends);
  if (group.mode != atb::infer::COMM_MULTI_PROCESS && group.mode != atb::infer::COMM_MULTI_THREAD)
    return refuse(atb::ERROR_INVALID_PARAM, "commMode is {}, 0 or 1 wanted", group.mode);
  if (group.domain.size() > kMostDomain)
    return refuse(atb::ERROR_INVALID_PARAM, "commDomain has {} characters, at most {} wanted", group.domain.size(),
                  kMostDomain);
  if (struct stat found; !group.table.empty() && stat(std::string(group.table).c_str(), &found) != 0)
    return refuse(atb::ERROR_INVALID_PARAM, "rankTableFile {} is not there, a file wanted", group.table);
  if (group.handle != nullptr) return {};
  if (group.size <= 0) return refuse(atb::ERROR_INVALID_PARAM, "rankSize is {}, at least 1 wanted", group.size);
  for (const auto& [name, value] : {std::pair("rank", group.rank), std::pair("rankRoot", group.root)}) {
    if (value < 0 || value >= group.size)
      return refuse(atb::ERROR_INVALID_PARAM, "{} is {}, 0 to {} wanted", name, value, group.size - 1);
  }
  return {};
}

Outcome<std::shared_ptr<Communicator>> communicator_of(const Group& group, const Device& device) {
  auto found = group.handle != nullptr ? own_of(group.handle) : meet(group, device);
  if (!found) return found;
  if ((*found)->device() != device.index())
    return refuse(atb::ERROR_INVALID_STREAM, "stream of device {}, one of device {} wanted (the communicator's)",
                  device.index(), (*found)->device());
  return found;
}

int size_of(const Group& group) {
  const auto own = group.handle == nullptr ? nullptr : front::communicators().find(group.handle);
  return own ? own->comm->size() : group.size;
}

int rank_of(const Group& group) {
  const auto own = group.handle == nullptr ? nullptr : front::communicators().find(group.handle);
  return own ? own->comm->rank() : group.rank;
}

Outcome<Combine> combine_of(std::string_view name) {
  if (name == "sum") return Combine::sum;
  if (name == "prod") return Combine::product;
  if (name == "max") return Combine::maximum;
  if (name == "min") return Combine::minimum;
  return refuse(atb::ERROR_INVALID_PARAM, "reduction \"{}\", one of sum, prod, max, min wanted", name);
}

}  // namespace tandem::atbfront

// --- communicators of a program's own

namespace atb::Comm {
namespace {

namespace front = tandem::atbfront;

// The communicator as a handle, its name where the program wants it; null with the reason remembered.
template <class Make>
HcclComm handed_out(std::string_view call, char* name, Make&& make) {
  HcclComm handle = nullptr;
  front::atb_call(call, [&]() -> front::Outcome<> {
    const auto context = tandem::front::current_context();
    if (!context) return front::refuse(ERROR_RT_FAIL, "no device, aclrtSetDevice before it wanted");
    auto made = make(context->device);
    if (!made) return front::refuse(made.error());
    if (*made == nullptr) return {};
    handle = tandem::front::insert(std::move(*made));
    if (name != nullptr) HcclGetCommName(handle, name);
    return {};
  });
  return handle;
}

front::Outcome<std::shared_ptr<tandem::Communicator>> connect(const front::Group& group, int device) {
  const auto found = tandem::Device::get(device);
  if (!found) return front::refuse(found.error());
  if (const auto fine = front::check_group(group, group.backend); !fine) return front::refuse(fine.error());
  return front::meet(group, **found);
}

}  // namespace

HcclComm CreateHcclComm(int32_t rank, int32_t rankRoot, int32_t rankSize, char* commName) {
  return handed_out("CreateHcclComm", commName, [&](int device) {
    return connect({.rank = rank, .size = rankSize, .root = rankRoot, .backend = "hccl", .table = {}, .domain = {}},
                   device);
  });
}

HcclComm CreateHcclCommByRankTableFile(int32_t rank, int32_t rankSize, const char* rankTableFile, char* commName) {
  const std::string_view file = rankTableFile == nullptr ? "" : rankTableFile;
  return handed_out("CreateHcclCommByRankTableFile", commName, [&](int device) {
    return connect({.rank = rank, .size = rankSize, .backend = "hccl", .table = file, .domain = {}}, device);
  });
}

HcclComm CreateHcclCrossMulitComm(const char* rankTableFile, uint32_t subCommRankId, std::vector<uint32_t>& rankIds,
                                  uint64_t subCommId, uint32_t, char* commName) {
  using Made = front::Outcome<std::shared_ptr<tandem::Communicator>>;
  return handed_out("CreateHcclCrossMulitComm", commName, [&](int device) -> Made {
    if (rankIds.empty()) return nullptr;
    if (rankTableFile == nullptr || subCommRankId >= rankIds.size())
      return front::refuse(ERROR_INVALID_PARAM, "rank {} of {} and a file wanted", subCommRankId, rankIds.size());
    const auto table = tandem::read_rank_table(rankTableFile);
    if (!table) return front::refuse(table.error());
    const auto whole = connect({.rank = static_cast<int>(rankIds[subCommRankId]),
                                .size = static_cast<int>(table->ranks.size()),
                                .backend = "hccl",
                                .table = rankTableFile,
                                .domain = {}},
                               device);
    if (!whole) return whole;
    auto part = (*whole)->split(std::vector<int>(rankIds.begin(), rankIds.end()), subCommId);
    if (!part) return front::refuse(part.error());
    return *part;
  });
}

Status DestoryHcclComm(HcclComm comm) {
  return front::atb_call("DestoryHcclComm", [&]() -> front::Outcome<> {
    if (comm == nullptr) return front::refuse(ERROR_COMM_EMPTY, "comm is null, a communicator wanted");
    if (HcclCommDestroy(comm) == HCCL_SUCCESS) return {};
    return front::refuse(ERROR_HCCL_FAIL, "{}", aclGetRecentErrMsg());
  });
}

}  // namespace atb::Comm
