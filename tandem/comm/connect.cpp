// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "tandem/base/env.h"
#include "tandem/comm/communicator_impl.h"
#include "tandem/comm/fault.h"
#include "tandem/comm/joined.h"
#include "tandem/comm/tcp.h"
#include "tandem/exec/trace.h"

namespace tandem {
namespace {

Status check(const Rendezvous& rendezvous) {
  if (Status s = check_group(rendezvous.size, rendezvous.name); !s) return s;
  if (rendezvous.rank < 0 || rendezvous.rank >= rendezvous.size) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("connect: rank {}, 0 to {} wanted", rendezvous.rank, rendezvous.size - 1));
  }
  if (rendezvous.address.empty() && rendezvous.size > 1) {
    return fail(ErrorCode::invalid_argument, "connect: address is empty, a text that all ranks share wanted");
  }
  return {};
}

std::vector<int> all_ranks(int size) {
  std::vector<int> ranks(static_cast<size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

Deadline connect_deadline(const Rendezvous& rendezvous) {
  const auto fallback = static_cast<double>(env_integer("HCCL_CONNECT_TIMEOUT", 1, INT32_MAX).value_or(120));
  return Deadline::after_seconds(rendezvous.timeout_s > 0 ? rendezvous.timeout_s : fallback);
}

Expected<Joined> join(const Rendezvous& rendezvous, size_t window_bytes) {
  auto made = SegmentMap::create(rendezvous.rank, rendezvous.size, window_bytes_for(rendezvous.size, window_bytes));
  if (!made) {
    if (!is_tcp(rendezvous.address)) send_apology(rendezvous, made.error());
    return fail(made.error());
  }
  const auto own = std::make_shared<SegmentMap>(std::move(*made));
  const Deadline deadline = connect_deadline(rendezvous);
  Expected<Joined> joined = rendezvous.size > 1 && is_tcp(rendezvous.address)
                                ? join_over_tcp(rendezvous, own, deadline)
                                : join_on_host(rendezvous, own, all_ranks(rendezvous.size), deadline);
  own->close_descriptor();
  // Some peers may hold this segment already; they learn from it that nobody will come.
  if (!joined) own->segment()->state.value.store(static_cast<uint32_t>(RankState::left), std::memory_order_release);
  return joined;
}

}  // namespace

Expected<std::shared_ptr<Communicator>> Communicator::connect(const Rendezvous& rendezvous, size_t window_bytes) {
  if (Status s = check(rendezvous); !s) return fail(s.error());
  if (Status s = load_faults(); !s) return fail(s.error());
  const auto device = Device::get(rendezvous.device);
  if (!device) return fail(device.error());
  auto joined = join(rendezvous, window_bytes);
  if (!joined) return fail(joined.error());
  (*device)->share_host_with(joined->ranks_of_host);
  if (rendezvous.size > 1) name_traced_run(rendezvous.address);
  auto made =
      Impl::make({rendezvous.rank, rendezvous.device, rendezvous.name, std::move(joined->segments),
                  std::move(joined->pids), *device, rendezvous.address, rendezvous.call_s, std::move(joined->bridge),
                  joined->leader, std::move(joined->addresses), joined->ranks_per_host});
  Impl* impl = made->impl_.get();
  if (rendezvous.size == 1) {
    enroll(made, new_communicator_group());
    return made;
  }
  auto watcher = Watcher::start(std::move(joined->pidfds), std::move(joined->witnesses),
                                [impl](int rank) { impl->peer_ended(rank); });
  if (!watcher) {
    made->abort(watcher.error());
    return fail(watcher.error());
  }
  Status awake;
  {
    const std::lock_guard lock(fork_mutex());  // a fork() finds the watcher either here or not yet
    impl->watcher = std::move(*watcher);
    if (impl->bridge) awake = impl->listen_to_hosts();
  }
  if (!awake) {
    made->abort(awake.error());
    return fail(awake.error());
  }
  enroll(made, new_communicator_group());
  return made;
}

}  // namespace tandem
