// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "tandem/base/env.h"
#include "tandem/exec/team.h"
#include "tandem/exec/topology.h"
#include "tandem/exec/trace.h"

namespace tandem {

struct Device::State {
  mutable std::mutex mutex;
  std::shared_ptr<ThreadTeam> team;
  int ranks_on_host = 1;
  int wanted_threads = 0;
  std::atomic<int> oversubscribed{-1};  // asked for by every operator; -1: to be worked out
};

// Devices live until the process ends and are never destroyed: streams and forked children may outlive main().
struct DeviceRegistry {
  std::mutex mutex;
  std::map<int, std::unique_ptr<Device>> devices;

  static DeviceRegistry& instance() {
    static auto* const registry = new DeviceRegistry;
    return *registry;
  }
  Device* at(int index) {
    const std::lock_guard lock(mutex);
    auto& slot = devices[index];
    if (!slot) slot.reset(new Device(index));
    return slot.get();
  }
};

namespace {

int threads_per_rank(int wanted, int ranks) {
  if (wanted > 0) return wanted;
  constexpr int kMostThreads = 4096;
  if (const auto set = env_integer("TANDEM_THREADS", 1, kMostThreads)) return static_cast<int>(*set);
  return std::max(1, topology().usable_cores / ranks);
}

}  // namespace

Device::Device(int index) : index_(index), state_(std::make_unique<State>()) {}

int Device::count() {
  constexpr int64_t kDefault = 8;
  constexpr int64_t kMost = 1024;
  return static_cast<int>(env_integer("TANDEM_DEVICES", 1, kMost).value_or(kDefault));
}

Expected<Device*> Device::get(int index) {
  trace_from_environment();
  if (index < 0 || index >= count()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("device: index {}, a value in [0, {}] wanted (TANDEM_DEVICES raises it)", index, count() - 1));
  }
  return DeviceRegistry::instance().at(index);
}

std::shared_ptr<ThreadTeam> Device::team() {
  const std::lock_guard lock(state_->mutex);
  if (!state_->team) {
    const int threads = threads_per_rank(state_->wanted_threads, state_->ranks_on_host);
    const int cores = static_cast<int>(topology().cores.size());
    const bool fits = state_->ranks_on_host * threads <= std::min(cores, topology().usable_cores);
    const int first_core = fits && state_->ranks_on_host > 1 ? index_ * threads % cores : -1;
    state_->team = std::make_shared<ThreadTeam>(threads, first_core);
  }
  return state_->team;
}

void Device::share_host_with(int ranks_on_host, int threads) {
  const std::lock_guard lock(state_->mutex);
  if (ranks_on_host <= state_->ranks_on_host && (threads == 0 || threads == state_->wanted_threads)) return;
  state_->ranks_on_host = std::max(ranks_on_host, state_->ranks_on_host);
  if (threads > 0) state_->wanted_threads = threads;
  state_->oversubscribed.store(-1, std::memory_order_relaxed);
  state_->team.reset();  // tasks under way keep the old team until they end
}

bool Device::oversubscribed() const {
  const int known = state_->oversubscribed.load(std::memory_order_relaxed);
  if (known >= 0) return known != 0;
  const std::lock_guard lock(state_->mutex);
  const int threads = threads_per_rank(state_->wanted_threads, state_->ranks_on_host);
  const bool more = state_->ranks_on_host * threads > topology().usable_cores;
  state_->oversubscribed.store(more ? 1 : 0, std::memory_order_relaxed);
  return more;
}

}  // namespace tandem
