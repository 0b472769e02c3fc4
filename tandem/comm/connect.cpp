// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "tandem/base/env.h"
#include "tandem/comm/communicator_impl.h"
#include "tandem/comm/fault.h"
#include "tandem/comm/rendezvous.h"

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

Expected<Descriptor> own_pidfd() {
  Descriptor made(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (made.valid()) return made;
  return fail(ErrorCode::unsupported,
              fmt::format("connect: pidfd_open failed ({}); Linux 5.3 or newer and a seccomp filter that allows it are "
                          "wanted, or ranks as threads of one process",
                          strerrordesc_np(errno)));
}

struct Joined {
  std::vector<std::shared_ptr<SegmentMap>> segments;
  std::vector<int> pids;
  std::vector<Descriptor> pidfds;
  std::vector<Descriptor> witnesses;
};

Expected<Joined> map_peers(Meeting meeting, const std::shared_ptr<SegmentMap>& own, int rank) {
  Joined joined;
  joined.witnesses = std::move(meeting.witnesses);
  const int size = static_cast<int>(meeting.seats.size());
  for (int peer = 0; peer < size; ++peer) {
    Seat& seat = meeting.seats[static_cast<size_t>(peer)];
    joined.pids.push_back(seat.pid);
    joined.pidfds.push_back(peer == rank ? Descriptor() : std::move(seat.pidfd));
    joined.segments.push_back(own);
    if (peer == rank) continue;
    auto segment = SegmentMap::adopt(std::move(seat.segment), peer, size);
    if (!segment) return fail(segment.error());
    segment->close_descriptor();
    joined.segments.back() = std::make_shared<SegmentMap>(std::move(*segment));
  }
  return joined;
}

Expected<Meeting> meet(const Rendezvous& rendezvous, const SegmentMap& own) {
  Meeting alone;
  alone.seats.resize(1);
  if (rendezvous.size == 1) return alone;
  auto pidfd = own_pidfd();
  if (!pidfd) return fail(pidfd.error());
  const auto fallback = static_cast<double>(env_integer("HCCL_CONNECT_TIMEOUT", 1, INT32_MAX).value_or(120));
  const Deadline deadline = Deadline::after_seconds(rendezvous.timeout_s > 0 ? rendezvous.timeout_s : fallback);
  const Seat seat{Descriptor(fcntl(own.descriptor(), F_DUPFD_CLOEXEC, 0)), std::move(*pidfd), getpid()};
  return rendezvous.rank == 0 ? meet_as_host(rendezvous, seat, deadline) : meet_as_guest(rendezvous, seat, deadline);
}

Expected<Joined> join(const Rendezvous& rendezvous, size_t window_bytes) {
  auto made = SegmentMap::create(rendezvous.rank, rendezvous.size, window_bytes_for(rendezvous.size, window_bytes));
  if (!made) {
    send_apology(rendezvous, made.error());
    return fail(made.error());
  }
  const auto own = std::make_shared<SegmentMap>(std::move(*made));
  auto meeting = meet(rendezvous, *own);
  auto joined =
      meeting ? map_peers(std::move(*meeting), own, rendezvous.rank) : Expected<Joined>(fail(meeting.error()));
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
  (*device)->share_host_with(rendezvous.size);
  auto made = Impl::make({rendezvous.rank, rendezvous.device, rendezvous.name, std::move(joined->segments),
                          std::move(joined->pids), *device, rendezvous.address, rendezvous.call_s});
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
  {
    const std::lock_guard lock(fork_mutex());  // a fork() finds the watcher either here or not yet
    impl->watcher = std::move(*watcher);
  }
  enroll(made, new_communicator_group());
  return made;
}

}  // namespace tandem
