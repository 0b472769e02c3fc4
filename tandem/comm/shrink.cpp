// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "tandem/base/env.h"
#include "tandem/comm/communicator_impl.h"
#include "tandem/comm/rendezvous.h"
#include "tandem/comm/socket.h"

// The survivors of a dead communicator find each other: the lowest of them collects the others, tells them who is
// there, and all connect anew.
namespace tandem {
namespace {

constexpr useconds_t kRetryMicroseconds = 2'000;
constexpr int kLookMilliseconds = 10;  // how soon a death is taken into account

using Members = std::vector<bool>;

std::span<const std::byte> bytes_of(const auto& message) { return std::as_bytes(std::span(&message, 1)); }

class Survivors {
 public:
  Survivors(const Communicator& comm, std::string address, std::function<Members()> candidates, Deadline deadline)
      : comm_(comm), address_(std::move(address)), candidates_(std::move(candidates)), deadline_(deadline) {}

  Expected<Members> meet() {
    while (!deadline_.passed()) {
      const Members candidates = candidates_();
      const int leader = static_cast<int>(std::ranges::find(candidates, true) - candidates.begin());
      if (leader == comm_.rank()) return lead();
      if (leader == comm_.size()) break;
      auto members = follow(leader);
      if (!members) return fail(members.error());
      if (*members) return std::move(**members);
      usleep(kRetryMicroseconds);
    }
    return fail(ErrorCode::timed_out, fmt::format("shrink: rank {} met no other survivor in time", comm_.rank()));
  }

 private:
  Rendezvous place(int leader) const {
    return {comm_.rank(), comm_.size(), comm_.name(), fmt::format("{} shrink {}", address_, leader)};
  }
  Expected<Members> lead();
  void admit(int listener, const Hello& wanted, Members& joined, std::vector<Descriptor>& sockets) const;
  // Nothing when the leader is not there (any more): look again who leads.
  Expected<std::optional<Members>> follow(int leader) const;

  const Communicator& comm_;
  std::string address_;
  std::function<Members()> candidates_;
  Deadline deadline_;
};

void Survivors::admit(int listener, const Hello& wanted, Members& joined, std::vector<Descriptor>& sockets) const {
  Descriptor socket = accept_connection(listener);
  if (!socket.valid() || credentials_of(socket.get()).uid != geteuid() || !readable(socket.get(), 1000)) return;
  Hello hello{};
  const auto got = receive_packet(socket.get(), std::as_writable_bytes(std::span(&hello, 1)), 0);
  const bool ours = got.received && got.packet.bytes == sizeof hello &&
                    std::memcmp(hello.magic, wanted.magic, sizeof hello.magic) == 0 &&
                    std::memcmp(hello.cookie, wanted.cookie, sizeof hello.cookie) == 0;
  if (!ours || hello.rank < 0 || hello.rank >= comm_.size()) return;
  joined[static_cast<size_t>(hello.rank)] = true;
  sockets.push_back(std::move(socket));
}

Expected<Members> Survivors::lead() {
  const Rendezvous here = place(comm_.rank());
  const Hello wanted = make_hello(here);
  const Descriptor listener = listen_abstract(socket_name(here.address));
  if (!listener.valid()) return fail(ErrorCode::io, fmt::format("shrink: cannot listen ({})", strerrordesc_np(errno)));
  Members joined(static_cast<size_t>(comm_.size()));
  joined[static_cast<size_t>(comm_.rank())] = true;
  std::vector<Descriptor> sockets;
  const auto complete = [&] {
    const Members candidates = candidates_();
    for (size_t rank = 0; rank < joined.size(); ++rank) {
      if (candidates[rank] && !joined[rank]) return false;
    }
    return true;
  };
  while (!complete() && !deadline_.passed()) {
    if (readable(listener.get(), kLookMilliseconds)) admit(listener.get(), wanted, joined, sockets);
  }
  Answer answer{};
  std::memcpy(answer.magic, wanted.magic, sizeof answer.magic);
  answer.size = comm_.size();
  for (size_t rank = 0; rank < joined.size(); ++rank) answer.pids[rank] = joined[rank] ? 1 : 0;
  for (const Descriptor& socket : sockets) send_packet(socket.get(), bytes_of(answer), {});
  return joined;
}

Expected<std::optional<Members>> Survivors::follow(int leader) const {
  const Rendezvous there = place(leader);
  const Hello hello = make_hello(there);
  const Descriptor socket = connect_abstract(socket_name(there.address));
  const bool told =
      socket.valid() && credentials_of(socket.get()).uid == geteuid() && send_packet(socket.get(), bytes_of(hello), {});
  while (told && !deadline_.passed()) {
    if (!readable(socket.get(), kLookMilliseconds)) continue;
    Answer answer{};
    const auto got = receive_packet(socket.get(), std::as_writable_bytes(std::span(&answer, 1)), 0);
    if (!got.received || got.packet.bytes == 0) break;
    const bool whole = got.packet.bytes == sizeof answer && answer.size == comm_.size() &&
                       std::memcmp(answer.magic, hello.magic, sizeof answer.magic) == 0;
    if (!whole)
      return fail(ErrorCode::malformed, fmt::format("shrink: rank {} sent something that is no answer", leader));
    Members members(static_cast<size_t>(comm_.size()));
    for (size_t rank = 0; rank < members.size(); ++rank) members[rank] = answer.pids[rank] != 0;
    return std::optional(std::move(members));
  }
  return std::optional<Members>();
}

}  // namespace

Expected<std::shared_ptr<Communicator>> Communicator::shrink(double timeout_s) {
  if (impl_->foreign()) return fail(impl_->usable().error());
  if (size_ == 1 || !impl_->watcher) {
    return fail(ErrorCode::unsupported, "shrink: ranks as processes wanted; ranks of one process call local() again");
  }
  const auto root = impl_->failure();
  const auto candidates = [&] {
    Members there(static_cast<size_t>(size_));
    for (int rank = 0; rank < size_; ++rank) {
      const bool hangs = root && root->code == ErrorCode::timed_out && root->culprit == rank;
      there[static_cast<size_t>(rank)] =
          !hangs && !impl_->gone[static_cast<size_t>(rank)].load() && !impl_->board.left(rank);
    }
    return there;
  };
  const auto fallback = static_cast<double>(env_integer("HCCL_CONNECT_TIMEOUT", 1, INT32_MAX).value_or(120));
  const Deadline deadline = Deadline::after_seconds(timeout_s > 0 ? timeout_s : fallback);
  if (root && root->code == ErrorCode::timed_out && root->culprit == rank_) {
    return fail(ErrorCode::peer_lost, fmt::format("shrink: rank {} hung and was left out", rank_));
  }
  auto members = Survivors(*this, impl_->address, candidates, deadline).meet();
  if (!members) return fail(members.error());
  Rendezvous next{0, 0, name_, impl_->address + " of", device_, timeout_s};
  for (int rank = 0; rank < size_; ++rank) {
    if (!(*members)[static_cast<size_t>(rank)]) continue;
    if (rank < rank_) ++next.rank;
    ++next.size;
    next.address += fmt::format(" {}", rank);
  }
  return connect(next, window_bytes_);
}

}  // namespace tandem
