// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "tandem/base/log.h"
#include "tandem/comm/rendezvous_tcp.h"
#include "tandem/comm/tcp.h"

// One connection between every two ranks of different hosts. Who met at rank 0 keeps that one; else the higher rank
// connects to the lower.
namespace tandem {
namespace {

class Greeter {
 public:
  Greeter(const Rendezvous& rendezvous, FarMeeting& meeting, std::span<const std::byte> wire, Deadline deadline)
      : rendezvous_(rendezvous), meeting_(meeting), deadline_(deadline), peers_(meeting.seats.size()) {
    mine_.hello = make_hello(rendezvous);
    mine_.wire_bytes = static_cast<uint32_t>(wire.size());
    std::memcpy(mine_.wire, wire.data(), wire.size());
  }

  Expected<std::vector<FarPeer>> run();

 private:
  bool far(int rank) const { return seat(rank).host != seat(rendezvous_.rank).host; }
  const FarSeat& seat(int rank) const { return meeting_.seats[static_cast<size_t>(rank)]; }
  FarPeer& peer(int rank) { return peers_[static_cast<size_t>(rank)]; }
  Status call(int rank);
  Status answer_callers();
  Status admit(Gate::Visitor visitor);
  Status say(int rank);
  Status hear(int rank);
  Status read(int rank, const Greeting& theirs);
  Status lost(int rank, std::string_view what) const;
  int missing_above();

  const Rendezvous& rendezvous_;
  FarMeeting& meeting_;
  Deadline deadline_;
  Greeting mine_{};
  std::vector<FarPeer> peers_;
};

Status Greeter::lost(int rank, std::string_view what) const {
  const ErrorCode code = errno == ETIMEDOUT ? ErrorCode::timed_out : ErrorCode::peer_lost;
  const std::string reason = errno == 0 ? "it closed the connection" : strerrordesc_np(errno);
  return fail(code, fmt::format("connect: rank {} (process {} on {}) {} ({})", rank, seat(rank).pid, seat(rank).address,
                                what, reason));
}

Status Greeter::say(int rank) {
  if (send_bytes(peer(rank).line.get(), std::as_bytes(std::span(&mine_, 1)), deadline_)) return {};
  return lost(rank, "cannot be greeted");
}

Status Greeter::read(int rank, const Greeting& theirs) {
  auto wire = read_greeting(theirs, mine_.hello, rank);
  if (!wire) return fail(wire.error());
  peer(rank).wire = std::move(*wire);
  return {};
}

Status Greeter::hear(int rank) {
  Greeting theirs{};
  if (receive_bytes(peer(rank).line.get(), std::as_writable_bytes(std::span(&theirs, 1)), deadline_)) {
    return read(rank, theirs);
  }
  return lost(rank, "did not greet");
}

Status Greeter::call(int rank) {
  if (rank == 0) {
    peer(0).line = std::move(meeting_.lines[0]);
    return say(0);
  }
  while (!deadline_.passed()) {
    peer(rank).line = connect_tcp({seat(rank).address, seat(rank).port}, 1000);
    if (peer(rank).line.valid()) return say(rank);
    if (errno != ETIMEDOUT && errno != EINTR) break;
  }
  return lost(rank, "was not reached");
}

int Greeter::missing_above() {
  for (int rank = rendezvous_.rank + 1; rank < rendezvous_.size; ++rank) {
    if (far(rank) && !peer(rank).line.valid()) return rank;
  }
  return -1;
}

// Strangers are dropped; a rank of the job that does not fit ends it.
Status Greeter::admit(Gate::Visitor visitor) {
  Greeting theirs{};
  if (visitor.message.size() == sizeof theirs)
    std::memcpy(static_cast<void*>(&theirs), visitor.message.data(), sizeof theirs);
  const int rank = theirs.hello.rank;
  const bool ours = std::memcmp(theirs.hello.magic, mine_.hello.magic, sizeof mine_.hello.magic) == 0 &&
                    std::memcmp(theirs.hello.cookie, mine_.hello.cookie, sizeof mine_.hello.cookie) == 0;
  if (!ours || rank <= rendezvous_.rank || rank >= rendezvous_.size || !far(rank) || peer(rank).line.valid()) {
    log_warn("connect: dropped {}: it sent {} bytes that are no greeting of a rank that is awaited", visitor.from,
             visitor.message.size());
    return {};
  }
  if (Status s = read(rank, theirs); !s) return s;
  peer(rank).line = std::move(visitor.socket);
  return say(rank);
}

Status Greeter::answer_callers() {
  if (rendezvous_.rank == 0) {
    for (int rank = 1; rank < rendezvous_.size; ++rank) {
      if (!far(rank)) continue;
      peer(rank).line = std::move(meeting_.lines[static_cast<size_t>(rank)]);
      if (Status s = say(rank); !s) return s;
      if (Status s = hear(rank); !s) return s;
    }
    return {};
  }
  constexpr int kLookMs = 20;
  Gate gate(std::move(meeting_.listener), sizeof(Greeting));
  // Rank 0 sees when any rank ends before all have met, and ends too.
  const int zero = far(0) ? peer(0).line.get() : meeting_.lines[0].get();
  for (int absent = missing_above(); absent >= 0; absent = missing_above()) {
    errno = ETIMEDOUT;
    if (deadline_.passed()) return lost(absent, "did not connect");
    if (auto visitor = gate.next(kLookMs)) {
      if (Status s = admit(std::move(*visitor)); !s) return s;
    }
    errno = 0;
    if (hung_up(zero)) return lost(0, "gave up");
  }
  return {};
}

Expected<std::vector<FarPeer>> Greeter::run() {
  for (int rank = 0; rank < rendezvous_.rank; ++rank) {
    if (!far(rank)) continue;
    if (Status s = call(rank); !s) return fail(s.error());
  }
  if (Status s = answer_callers(); !s) return fail(s.error());
  for (int rank = 0; rank < rendezvous_.rank; ++rank) {
    if (!far(rank)) continue;
    if (Status s = hear(rank); !s) return fail(s.error());
  }
  return std::move(peers_);
}

}  // namespace

Expected<std::vector<std::byte>> read_greeting(const Greeting& greeting, const Hello& mine, int rank) {
  const Hello& theirs = greeting.hello;
  const bool same = std::memcmp(theirs.magic, mine.magic, sizeof mine.magic) == 0 &&
                    std::memcmp(theirs.build, mine.build, sizeof mine.build) == 0 &&
                    std::memcmp(theirs.cookie, mine.cookie, sizeof mine.cookie) == 0 && theirs.layout == mine.layout &&
                    theirs.size == mine.size && std::memcmp(theirs.name, mine.name, sizeof mine.name) == 0;
  const bool whole = greeting.wire_bytes > 0 && greeting.wire_bytes <= kWireAddressBytes;
  if (!same || !whole || theirs.rank != rank) {
    return fail(ErrorCode::malformed,
                fmt::format("connect: what answers as rank {} is not rank {} of this job", rank, rank));
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(greeting.wire);
  return std::vector<std::byte>(bytes, bytes + greeting.wire_bytes);
}

Expected<std::vector<FarPeer>> greet_far_ranks(const Rendezvous& rendezvous, FarMeeting& meeting,
                                               std::span<const std::byte> wire, Deadline deadline) {
  if (wire.size() > kWireAddressBytes) {
    return fail(ErrorCode::unsupported, fmt::format("connect: the transport's address has {} bytes, at most {} wanted; "
                                                    "UCX_NET_DEVICES names fewer devices",
                                                    wire.size(), kWireAddressBytes));
  }
  return Greeter(rendezvous, meeting, wire, deadline).run();
}

}  // namespace tandem
