// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <bit>
#include <set>
#include <string_view>
#include <utility>

#include "tandem/comm/joined.h"
#include "tandem/comm/rendezvous_tcp.h"
#include "tandem/comm/tcp.h"

// Ranks of several hosts.
namespace tandem {
namespace {

std::vector<int> ranks_beside(const FarMeeting& meeting, int rank) {
  std::vector<int> ranks;
  for (size_t i = 0; i < meeting.seats.size(); ++i) {
    if (meeting.seats[i].host == meeting.seats[static_cast<size_t>(rank)].host) ranks.push_back(static_cast<int>(i));
  }
  return ranks;
}

// The number of ranks of each host, if they are neighbours and every host has the same power of two; else 0.
int even_ranks_per_host(const std::vector<FarSeat>& seats) {
  size_t each = 1;
  while (each < seats.size() && seats[each].host == seats[0].host) ++each;
  if (!std::has_single_bit(each) || seats.size() % each != 0) return 0;
  std::set<std::string_view> hosts;
  for (size_t i = 0; i < seats.size(); ++i) {
    if (i % each == 0 && !hosts.insert(seats[i].host).second) return 0;
    if (seats[i].host != seats[i / each * each].host) return 0;
  }
  return static_cast<int>(each);
}

// The Unix meeting knows the ranks of its host by their place among them.
Error on_this_host(const Error& error, std::span<const int> ranks) {
  return {error.code, fmt::format("{} (among the ranks of one host: {}, counted from 0 here)", error.message,
                                  fmt::join(ranks, ", "))};
}

// Copies of the segments of the ranks of other hosts.
Status make_copies(Joined& joined, const FarMeeting& meeting) {
  const int size = static_cast<int>(meeting.seats.size());
  for (int rank = 0; rank < size; ++rank) {
    auto& segment = joined.segments[static_cast<size_t>(rank)];
    if (segment) continue;
    auto copy = SegmentMap::create(rank, size, meeting.seats[static_cast<size_t>(rank)].window_bytes);
    if (!copy) return fail(copy.error());
    copy->close_descriptor();
    segment = std::make_shared<SegmentMap>(std::move(*copy));
  }
  return {};
}

Status build_bridge(const Rendezvous& rendezvous, FarMeeting& meeting, Joined& joined, Deadline deadline) {
  auto bridge = Bridge::make(rendezvous.rank, rendezvous.size, rendezvous.address);
  if (!bridge) return fail(bridge.error());
  auto peers = greet_far_ranks(rendezvous, meeting, (*bridge)->wire_address(), deadline);
  if (!peers) return fail(peers.error());
  if (Status s = make_copies(joined, meeting); !s) return s;
  std::vector<std::string> places;
  for (const FarSeat& seat : meeting.seats) places.push_back(fmt::format("process {} on {}", seat.pid, seat.address));
  if (Status s = (*bridge)->join(joined.segments, std::move(*peers), std::move(places)); !s) return s;
  joined.bridge = std::move(*bridge);
  return {};
}

}  // namespace

Expected<Joined> join_over_tcp(const Rendezvous& rendezvous, const std::shared_ptr<SegmentMap>& own,
                               Deadline deadline) {
  auto meeting = meet_over_tcp(rendezvous, own->window_bytes(), deadline);
  if (!meeting) return fail(meeting.error());
  const std::vector<int> beside = ranks_beside(*meeting, rendezvous.rank);
  // Two hosts of one machine (TANDEM_HOST_ID) share the names of its sockets.
  Rendezvous here = rendezvous;
  here.address += "#" + meeting->seats[static_cast<size_t>(rendezvous.rank)].host;
  auto joined = join_on_host(here, own, beside, deadline);
  if (!joined) return fail(on_this_host(joined.error(), beside));
  if (static_cast<int>(beside.size()) < rendezvous.size) {
    if (Status s = build_bridge(rendezvous, *meeting, *joined, deadline); !s) return fail(s.error());
  }
  joined->ranks_per_host = even_ranks_per_host(meeting->seats);
  // The same words on all ranks: rank 0 is what the address says, the others what rank 0 saw.
  for (const FarSeat& seat : meeting->seats) joined->addresses.push_back(seat.address);
  joined->addresses[0] = tcp_place(rendezvous.address)->host;
  // Rank 0's end of a line says that it gave up, so those to ranks of its host stay open as well.
  for (Descriptor& line : meeting->lines) {
    if (line.valid()) joined->witnesses.push_back(std::move(line));
  }
  return joined;
}

}  // namespace tandem
