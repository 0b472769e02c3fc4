// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "tandem/comm/communicator_impl.h"
#include "tandem/comm/fingerprint.h"

namespace tandem {
namespace {

struct Entry {
  std::weak_ptr<Communicator> communicator;
  uint64_t group;
};

// Guarded by fork_mutex(), so that a forked child never finds the list half changed.
std::vector<Entry>& entries() {
  static auto* list = new std::vector<Entry>;  // outlives communicators that are destroyed at exit
  return *list;
}

struct Found {
  std::shared_ptr<Communicator> communicator;
  uint64_t group;
};

// The references are dropped by the caller: the last one runs a destructor that takes fork_mutex() itself.
std::vector<Found> all_alive() {
  const std::lock_guard lock(fork_mutex());
  std::vector<Found> alive;
  for (const Entry& entry : entries()) {
    if (auto communicator = entry.communicator.lock()) alive.push_back({std::move(communicator), entry.group});
  }
  return alive;
}

}  // namespace

uint64_t new_communicator_group() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1) + 1;
}

void enroll(const std::shared_ptr<Communicator>& communicator, uint64_t group) {
  const std::lock_guard lock(fork_mutex());
  std::erase_if(entries(), [](const Entry& entry) { return entry.communicator.expired(); });
  entries().push_back({communicator, group});
}

void strike_off(const Communicator& communicator) {
  std::vector<std::shared_ptr<Communicator>> alive;  // dropped after the lock, see all_alive()
  const std::lock_guard lock(fork_mutex());
  std::erase_if(entries(), [&](const Entry& entry) {
    alive.push_back(entry.communicator.lock());
    return alive.back().get() == &communicator;
  });
}

Status check_group(int size, std::string_view name) {
  if (size < 1 || size > kMaxRanks) {
    return fail(ErrorCode::invalid_argument, fmt::format("communicator: size {}, 1 to {} wanted", size, kMaxRanks));
  }
  constexpr size_t kNameBytes = 128;  // with the closing zero, as the vendor's API has it
  if (name.size() >= kNameBytes || printable(name, kNameBytes) != name) {
    return fail(ErrorCode::invalid_argument, fmt::format("communicator: name of {} bytes, at most {} printable ones "
                                                         "wanted",
                                                         name.size(), kNameBytes - 1));
  }
  return {};
}

// A name that was used again means the newest group of that name.
Expected<std::shared_ptr<Communicator>> Communicator::find(std::string_view name, int device) {
  auto matching = all_alive();
  std::erase_if(matching, [&](const Found& found) {
    return found.communicator->name() != name || found.communicator->device() != device;
  });
  if (matching.empty()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("communicator: no group '{}' on device {}; was it made, and is this its device?",
                            printable(name, 128), device));
  }
  std::ranges::sort(matching, std::greater{}, &Found::group);
  const auto newest = matching[0].communicator;
  if (newest->impl_->foreign()) return fail(newest->impl_->usable().error());
  if (matching.size() > 1 && matching[1].group == matching[0].group) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("communicator: several ranks of group '{}' on device {}, one wanted", name, device));
  }
  return newest;
}

}  // namespace tandem
