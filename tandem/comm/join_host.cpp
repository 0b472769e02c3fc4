// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tandem/comm/joined.h"
#include "tandem/comm/rendezvous.h"

// Ranks of one host: descriptors are passed, segments mapped.
namespace tandem {
namespace {

Expected<Descriptor> own_pidfd() {
  Descriptor made(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (made.valid()) return made;
  return fail(ErrorCode::unsupported,
              fmt::format("connect: pidfd_open failed ({}); Linux 5.3 or newer and a seccomp filter that allows it are "
                          "wanted, or ranks as threads of one process",
                          strerrordesc_np(errno)));
}

// `rendezvous` counts the ranks of this host only.
Expected<Meeting> meet(const Rendezvous& rendezvous, const SegmentMap& own, Deadline deadline) {
  Meeting alone;
  alone.seats.resize(1);
  if (rendezvous.size == 1) return alone;
  auto pidfd = own_pidfd();
  if (!pidfd) return fail(pidfd.error());
  const Seat seat{Descriptor(fcntl(own.descriptor(), F_DUPFD_CLOEXEC, 0)), std::move(*pidfd), getpid()};
  return rendezvous.rank == 0 ? meet_as_host(rendezvous, seat, deadline) : meet_as_guest(rendezvous, seat, deadline);
}

}  // namespace

Expected<Joined> join_on_host(const Rendezvous& rendezvous, const std::shared_ptr<SegmentMap>& own,
                              std::span<const int> ranks, Deadline deadline) {
  Rendezvous here = rendezvous;
  here.rank = static_cast<int>(std::ranges::find(ranks, rendezvous.rank) - ranks.begin());
  here.size = static_cast<int>(ranks.size());
  auto meeting = meet(here, *own, deadline);
  if (!meeting) return fail(meeting.error());
  const auto size = static_cast<size_t>(rendezvous.size);
  Joined joined{std::vector<std::shared_ptr<SegmentMap>>(size), std::vector<int>(size), std::vector<Descriptor>(size),
                std::move(meeting->witnesses)};
  joined.leader = ranks[0];
  joined.ranks_of_host = here.size;
  for (size_t i = 0; i < ranks.size(); ++i) {
    Seat& seat = meeting->seats[i];
    const auto peer = static_cast<size_t>(ranks[i]);
    joined.pids[peer] = seat.pid;
    joined.segments[peer] = own;
    if (ranks[i] == rendezvous.rank) continue;
    joined.pidfds[peer] = std::move(seat.pidfd);
    auto segment = SegmentMap::adopt(std::move(seat.segment), ranks[i], rendezvous.size);
    if (!segment) return fail(segment.error());
    segment->close_descriptor();
    joined.segments[peer] = std::make_shared<SegmentMap>(std::move(*segment));
  }
  return joined;
}

}  // namespace tandem
