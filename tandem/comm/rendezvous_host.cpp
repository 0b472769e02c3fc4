// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tandem/base/log.h"
#include "tandem/comm/rendezvous.h"
#include "tandem/comm/socket.h"

// The side of rank 0: collects everybody's descriptors, then hands all of them to all.
namespace tandem {
namespace {

constexpr int64_t kGreetingNs = 5'000'000'000;  // a connection that says nothing for longer is dropped
constexpr double kLateSeconds = 0.2;            // ranks on their way to a failed meeting learn the reason, too
constexpr size_t kMostStrangers = 256;          // connections that have not greeted yet

struct Stranger {
  Descriptor socket;
  PeerCredentials credentials;
  int64_t since_ns = 0;
};

class Host {
 public:
  Host(const Rendezvous& rendezvous, Deadline deadline)
      : rendezvous_(rendezvous),
        deadline_(deadline),
        mine_(make_hello(rendezvous)),
        seats_(static_cast<size_t>(rendezvous.size)),
        sockets_(static_cast<size_t>(rendezvous.size)) {}

  Expected<Meeting> run(const Seat& own);
  // Instead: all who come learn why there is no meeting.
  void refuse_everybody(const Error& reason);

 private:
  Status listen();
  Status wait_for_guests();
  Status look_once();
  void admit_strangers();
  Status greet(Stranger& stranger);
  Status seat(Stranger& stranger, const Hello& hello, std::vector<Descriptor> descriptors);
  Status check_guests();
  void hear_latecomers(Deadline deadline);
  std::string missing() const;
  bool complete() const;
  Status answer_all(const Seat& own);
  void refuse_all(const Error& error);
  Answer refusal(const Error& error) const;

  const Rendezvous& rendezvous_;
  Deadline deadline_;
  Hello mine_;
  Descriptor listener_;
  std::vector<Stranger> strangers_;
  std::vector<Seat> seats_;
  std::vector<Descriptor> sockets_;
};

bool Host::complete() const {
  return std::all_of(sockets_.begin() + 1, sockets_.end(), [](const Descriptor& socket) { return socket.valid(); });
}

std::string Host::missing() const {
  std::string ranks;
  for (size_t rank = 1; rank < sockets_.size(); ++rank) {
    if (!sockets_[rank].valid()) ranks += fmt::format("{}rank {}", ranks.empty() ? "" : ", ", rank);
  }
  return ranks;
}

Status Host::listen() {
  const std::string name = socket_name(rendezvous_.address);
  while (true) {
    listener_ = listen_abstract(name);
    if (listener_.valid()) return {};
    const int error = errno;
    // The name may still be held for a moment by an earlier meeting of this address.
    if (error != EADDRINUSE || deadline_.passed()) {
      return fail(error == EADDRINUSE ? ErrorCode::timed_out : ErrorCode::io,
                  fmt::format("connect: rank 0 cannot listen ({}); does another job use the same address?",
                              strerrordesc_np(error)));
    }
    usleep(5'000);
  }
}

void Host::admit_strangers() {
  while (strangers_.size() < kMostStrangers) {
    Stranger stranger{accept_connection(listener_.get()), {}, monotonic_ns()};
    if (!stranger.socket.valid()) return;
    stranger.credentials = credentials_of(stranger.socket.get());
    if (stranger.credentials.uid == geteuid()) {
      strangers_.push_back(std::move(stranger));
    } else {
      log_warn("connect: dropped a connection of user {}", stranger.credentials.uid);
    }
  }
}

// Reads the first message. What cannot be of our job is dropped and logged; what is, but does not fit, ends the job.
Status Host::greet(Stranger& stranger) {
  Hello hello{};
  auto result = receive_packet(stranger.socket.get(), std::as_writable_bytes(std::span(&hello, 1)), 2);
  const size_t bytes = result.received && result.packet.complete ? result.packet.bytes : 0;
  const Verdict verdict = judge_hello(hello, mine_, bytes);
  if (verdict.kind == Verdict::Kind::stranger) {
    log_warn("connect: dropped process {}: it sent {} bytes that are no greeting of this job", stranger.credentials.pid,
             bytes);
    return {};
  }
  if (verdict.kind == Verdict::Kind::misfit) {
    const Answer answer = refusal(verdict.error);
    send_packet(stranger.socket.get(), std::as_bytes(std::span(&answer, 1)), {});
    return fail(verdict.error);
  }
  return seat(stranger, hello, std::move(result.packet.descriptors));
}

Status Host::seat(Stranger& stranger, const Hello& hello, std::vector<Descriptor> descriptors) {
  const auto rank = static_cast<size_t>(hello.rank);
  if (descriptors.size() != 2) {
    return fail(ErrorCode::malformed, fmt::format("connect: rank {} passed {} descriptors, 2 wanted; see ulimit -n",
                                                  rank, descriptors.size()));
  }
  if (sockets_[rank].valid()) {
    log_warn("connect: refused process {}: rank {} has already joined", stranger.credentials.pid, rank);
    const Answer answer = refusal({ErrorCode::mismatch, fmt::format("connect: rank {} has already joined", rank)});
    send_packet(stranger.socket.get(), std::as_bytes(std::span(&answer, 1)), {});
    return {};
  }
  seats_[rank] = {std::move(descriptors[0]), std::move(descriptors[1]), stranger.credentials.pid};
  sockets_[rank] = std::move(stranger.socket);
  return {};
}

// A guest says nothing after its greeting, so a readable socket is the end of it.
Status Host::check_guests() {
  for (size_t rank = 1; rank < sockets_.size(); ++rank) {
    if (!sockets_[rank].valid() || !readable(sockets_[rank].get(), 0)) continue;
    return fail(ErrorCode::peer_lost,
                fmt::format("connect: rank {} (process {}) died before all ranks had joined", rank, seats_[rank].pid));
  }
  return {};
}

Status Host::look_once() {
  std::vector<pollfd> events{{listener_.get(), POLLIN, 0}};
  for (const Stranger& stranger : strangers_) events.push_back({stranger.socket.get(), POLLIN, 0});
  for (const Descriptor& socket : sockets_) events.push_back({socket.get(), POLLIN, 0});
  poll(events.data(), events.size(), 100);
  for (size_t i = 0; i < strangers_.size(); ++i) {
    Stranger& stranger = strangers_[i];
    if (events[i + 1].revents != 0) {
      if (Status s = greet(stranger); !s) return s;
      stranger.socket.close();
    } else if (monotonic_ns() - stranger.since_ns > kGreetingNs) {
      log_warn("connect: dropped process {}: it connected and said nothing", stranger.credentials.pid);
      stranger.socket.close();
    }
  }
  std::erase_if(strangers_, [](const Stranger& stranger) { return !stranger.socket.valid(); });
  admit_strangers();
  return check_guests();
}

Status Host::wait_for_guests() {
  while (!complete()) {
    if (deadline_.passed()) {
      return fail(ErrorCode::timed_out,
                  fmt::format("connect: of {} ranks {} did not join in time (HCCL_CONNECT_TIMEOUT); were they started "
                              "with the same address?",
                              rendezvous_.size, missing()));
    }
    if (Status s = look_once(); !s) return s;
  }
  return {};
}

void Host::hear_latecomers(Deadline deadline) {
  while (!complete() && !deadline.passed()) {
    if (!look_once()) usleep(1'000);
  }
}

Answer Host::refusal(const Error& error) const {
  Answer answer{};
  std::memcpy(answer.magic, mine_.magic, sizeof answer.magic);
  answer.refused = 1;
  answer.code = static_cast<uint32_t>(error.code);
  answer.size = rendezvous_.size;
  std::memcpy(answer.text, error.message.data(), std::min(error.message.size(), sizeof answer.text - 1));
  return answer;
}

void Host::refuse_all(const Error& error) {
  const Answer answer = refusal(error);
  for (const Descriptor& socket : sockets_) {
    if (socket.valid()) send_packet(socket.get(), std::as_bytes(std::span(&answer, 1)), {});
  }
}

Status Host::answer_all(const Seat& own) {
  Answer answer{};
  std::memcpy(answer.magic, mine_.magic, sizeof answer.magic);
  answer.size = rendezvous_.size;
  std::vector<int> descriptors;
  for (size_t rank = 0; rank < seats_.size(); ++rank) {
    const Seat& seat = rank == 0 ? own : seats_[rank];
    answer.pids[rank] = seat.pid;
    descriptors.push_back(seat.segment.get());
    descriptors.push_back(seat.pidfd.get());
  }
  for (size_t rank = 1; rank < sockets_.size(); ++rank) {
    while (!send_packet(sockets_[rank].get(), std::as_bytes(std::span(&answer, 1)), descriptors)) {
      const bool later = errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS;
      if (!later || deadline_.passed()) {
        return fail(ErrorCode::peer_lost,
                    fmt::format("connect: rank {} cannot be answered ({})", rank, strerrordesc_np(errno)));
      }
      usleep(1'000);
    }
  }
  return {};
}

Expected<Meeting> Host::run(const Seat& own) {
  if (Status s = listen(); !s) return fail(s.error());
  Status met = wait_for_guests();
  if (!met) hear_latecomers(Deadline::after_seconds(kLateSeconds));
  // Nobody may find this meeting any more once the first guest goes on: its next one may use the same address.
  listener_.close();
  strangers_.clear();
  if (met) met = answer_all(own);
  if (!met) {
    refuse_all(met.error());
    return fail(met.error());
  }
  Meeting meeting;
  meeting.seats = std::move(seats_);
  meeting.witnesses = std::move(sockets_);
  return meeting;
}

void Host::refuse_everybody(const Error& reason) {
  if (!listen()) return;
  hear_latecomers(deadline_);
  refuse_all(reason);
}

}  // namespace

void refuse_guests(const Rendezvous& rendezvous, const Error& reason, Deadline deadline) {
  Host(rendezvous, deadline).refuse_everybody(reason);
}

Expected<Meeting> meet_as_host(const Rendezvous& rendezvous, const Seat& own, Deadline deadline) {
  return Host(rendezvous, deadline).run(own);
}

}  // namespace tandem
