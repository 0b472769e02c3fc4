// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/rendezvous_tcp.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tandem/base/log.h"
#include "tandem/comm/fingerprint.h"
#include "tandem/comm/host_id.h"
#include "tandem/comm/tcp.h"
#include "tandem/exec/trace.h"
#include "tandem/version.h"

// Who is where: rank 0 collects, then tells all.
namespace tandem {
namespace {

constexpr size_t kStableBytes = offsetof(Hello, layout);
constexpr size_t kPage = 4096;
constexpr double kGraceSeconds = 3;  // rank 0 knows who is missing: its verdict is worth waiting for
constexpr useconds_t kRetryMicroseconds = 20'000;
constexpr uint32_t kRefused = 1, kAnotherMeeting = 2;  // FarAnswer::refused
constexpr std::byte kHeard{0x68};                      // before any answer: this greeting was read

template <size_t N>
std::string text_of(const char (&bytes)[N]) {
  return printable({bytes, strnlen(bytes, N)}, N);
}

template <size_t N>
void copy_text(char (&to)[N], std::string_view from) {
  std::memcpy(to, from.data(), std::min(from.size(), N - 1));
}

template <class T>
std::span<const std::byte> bytes_of(const T& message) {
  return std::as_bytes(std::span(&message, 1));
}

template <class T>
T message_from(std::span<const std::byte> bytes) {
  T message{};
  std::memcpy(static_cast<void*>(&message), bytes.data(), std::min(bytes.size(), sizeof message));
  return message;
}

bool legal_window(uint64_t bytes) { return bytes >= kPage && bytes <= kCommunicatorBytes && bytes % kPage == 0; }

FarHello make_far_hello(const Rendezvous& rendezvous, uint16_t port, size_t window_bytes) {
  FarHello hello{};
  hello.hello = make_hello(rendezvous);
  copy_text(hello.host, host_id());
  hello.pid = static_cast<uint32_t>(getpid());
  hello.port = port;
  hello.window_bytes = window_bytes;
  return hello;
}

FarAnswer empty_answer(const Hello& mine, int size) {
  FarAnswer answer{};
  std::memcpy(answer.magic, mine.magic, sizeof answer.magic);
  answer.size = size;
  return answer;
}

Expected<FarSeat> checked_seat(std::string host, std::string address, uint32_t port, uint32_t pid, uint64_t window) {
  const bool good = !host.empty() && !address.empty() && port <= UINT16_MAX && pid <= INT32_MAX && legal_window(window);
  if (!good) return fail(ErrorCode::malformed, "connect: a rank's host, port, process or window is not legal");
  return FarSeat{std::move(host), std::move(address), static_cast<uint16_t>(port), static_cast<int>(pid),
                 static_cast<size_t>(window)};
}

// --- rank 0

class TcpHost {
 public:
  TcpHost(const Rendezvous& rendezvous, size_t window_bytes, Deadline deadline)
      : rendezvous_(rendezvous),
        deadline_(deadline),
        mine_(make_far_hello(rendezvous, 0, window_bytes)),
        seats_(static_cast<size_t>(rendezvous.size)),
        lines_(static_cast<size_t>(rendezvous.size)) {}

  Expected<FarMeeting> run();

 private:
  Expected<Descriptor> listen();
  Status wait_for_guests(Gate& gate);
  Status greet(Gate::Visitor visitor);
  Status seat(Gate::Visitor visitor, const FarHello& hello);
  Status check_guests() const;
  std::string missing() const;
  void refuse(int socket, const Error& error, uint32_t how = kRefused) const;
  void send_away(int socket) const;
  Status answer_all();

  const Rendezvous& rendezvous_;
  Deadline deadline_;
  FarHello mine_;
  std::vector<FarSeat> seats_;
  std::vector<Descriptor> lines_;
};

Expected<Descriptor> TcpHost::listen() {
  const auto place = tcp_place(rendezvous_.address);
  if (!place) return fail(place.error());
  while (true) {
    Descriptor made = listen_tcp(*place);
    if (made.valid()) return made;
    const int error = errno;
    if (error != EADDRINUSE || deadline_.passed()) {
      return fail(
          error == EADDRINUSE ? ErrorCode::timed_out : ErrorCode::io,
          fmt::format("connect: rank 0 cannot listen at {}:{} ({})", place->host, place->port, strerrordesc_np(error)));
    }
    usleep(kRetryMicroseconds);
  }
}

std::string TcpHost::missing() const {
  std::string ranks;
  for (size_t rank = 1; rank < lines_.size(); ++rank) {
    if (!lines_[rank].valid()) ranks += fmt::format("{}rank {}", ranks.empty() ? "" : ", ", rank);
  }
  return ranks;
}

void TcpHost::refuse(int socket, const Error& error, uint32_t how) const {
  FarAnswer answer = empty_answer(mine_.hello, rendezvous_.size);
  answer.refused = how;
  answer.code = static_cast<uint32_t>(error.code);
  copy_text(answer.text, error.message);
  send_bytes(socket, bytes_of(answer), Deadline::after_seconds(1));
}

void say_heard(int socket) { send_bytes(socket, std::span(&kHeard, 1), Deadline::after_seconds(1)); }

// Groups split off one communicator may meet at one port, one after the other.
void TcpHost::send_away(int socket) const {
  say_heard(socket);
  refuse(socket, {ErrorCode::mismatch, "connect: another job meets there"}, kAnotherMeeting);
}

// What cannot be of our job is dropped and logged; what is, but does not fit, ends the job.
Status TcpHost::greet(Gate::Visitor visitor) {
  const auto hello = message_from<FarHello>(visitor.message);
  const size_t bytes = std::min(visitor.message.size(), sizeof(Hello));
  const bool ours = bytes >= kStableBytes && std::memcmp(hello.hello.magic, mine_.hello.magic, 8) == 0 &&
                    std::memcmp(hello.hello.cookie, mine_.hello.cookie, sizeof mine_.hello.cookie) == 0;
  if (!ours) {
    log_warn("connect: dropped {}: it sent {} bytes that are no greeting of this job", visitor.from,
             visitor.message.size());
    const bool kin = bytes >= kStableBytes && std::memcmp(hello.hello.magic, mine_.hello.magic, 8) == 0;
    if (kin) send_away(visitor.socket.get());
    return {};
  }
  say_heard(visitor.socket.get());
  const size_t whole = visitor.message.size() == sizeof(FarHello) ? sizeof(Hello) : 0;
  if (auto reason = objection_to(hello.hello, mine_.hello, whole)) {
    const Error error{ErrorCode::mismatch, std::move(*reason)};
    refuse(visitor.socket.get(), error);
    return fail(error);
  }
  return seat(std::move(visitor), hello);
}

Status TcpHost::seat(Gate::Visitor visitor, const FarHello& hello) {
  const auto rank = static_cast<size_t>(hello.hello.rank);
  auto read = read_hello(hello, visitor.from);
  if (!read) return fail(read.error());
  if (lines_[rank].valid()) {
    log_warn("connect: refused process {} of {}: rank {} has already joined", read->pid, visitor.from, rank);
    refuse(visitor.socket.get(), {ErrorCode::mismatch, fmt::format("connect: rank {} has already joined", rank)});
    return {};
  }
  seats_[rank] = std::move(*read);
  lines_[rank] = std::move(visitor.socket);
  return {};
}

Status TcpHost::check_guests() const {
  for (size_t rank = 1; rank < lines_.size(); ++rank) {
    if (!lines_[rank].valid() || !hung_up(lines_[rank].get())) continue;
    return fail(ErrorCode::peer_lost,
                fmt::format("connect: rank {} (process {} on {}) died before all ranks had joined", rank,
                            seats_[rank].pid, seats_[rank].address));
  }
  return {};
}

Status TcpHost::wait_for_guests(Gate& gate) {
  constexpr int kLookMs = 20;
  for (std::string absent = missing(); !absent.empty(); absent = missing()) {
    if (deadline_.passed()) {
      return fail(ErrorCode::timed_out,
                  fmt::format("connect: of {} ranks {} did not join in time (HCCL_CONNECT_TIMEOUT); were they started "
                              "with the same address, and can they reach it?",
                              rendezvous_.size, absent));
    }
    if (auto visitor = gate.next(kLookMs)) {
      if (Status s = greet(std::move(*visitor)); !s) return s;
    }
    if (Status s = check_guests(); !s) return s;
  }
  return {};
}

Status TcpHost::answer_all() {
  FarAnswer answer = empty_answer(mine_.hello, rendezvous_.size);
  for (size_t rank = 0; rank < seats_.size(); ++rank) {
    FarAnswer::Chair& chair = answer.chairs[rank];
    copy_text(chair.host, seats_[rank].host);
    copy_text(chair.address, seats_[rank].address);
    chair.pid = static_cast<uint32_t>(seats_[rank].pid);
    chair.port = seats_[rank].port;
    chair.window_bytes = seats_[rank].window_bytes;
  }
  for (size_t rank = 1; rank < lines_.size(); ++rank) {
    answer.clock_ns = monotonic_ns();
    if (send_bytes(lines_[rank].get(), bytes_of(answer), deadline_)) continue;
    return fail(ErrorCode::peer_lost,
                fmt::format("connect: rank {} cannot be answered ({})", rank, strerrordesc_np(errno)));
  }
  return {};
}

Expected<FarMeeting> TcpHost::run() {
  const auto place = tcp_place(rendezvous_.address);
  auto listener = listen();
  if (!listener) return fail(listener.error());
  auto own = read_hello(mine_, place->host);
  if (!own) return fail(own.error());
  seats_[0] = std::move(*own);
  Status met;
  {
    Gate gate(std::move(*listener), sizeof(FarHello));
    met = wait_for_guests(gate);
  }  // closed before anybody is answered: the next meeting may use the same address
  if (met) met = answer_all();
  if (met) return FarMeeting{std::move(seats_), std::move(lines_), Descriptor()};
  for (const Descriptor& line : lines_) {
    if (line.valid()) refuse(line.get(), met.error());
  }
  return fail(met.error());
}

// --- the others

Expected<Descriptor> reach_rank_zero(const TcpPlace& place, Deadline deadline) {
  std::string last = "nobody listens";
  while (!deadline.passed()) {
    Descriptor line = connect_tcp(place, 1000);
    if (line.valid()) return line;
    if (errno != ECONNREFUSED && errno != EINTR) last = strerrordesc_np(errno);
    usleep(kRetryMicroseconds);
  }
  return fail(
      ErrorCode::timed_out,
      fmt::format("connect: rank 0 was not reached at {}:{} in time ({}); is it started, with the same address?",
                  place.host, place.port, last));
}

// A connection that ends before rank 0 has read the greeting was one to a meeting that had just ended: `again`.
Expected<FarAnswer> hear_rank_zero(int line, Deadline deadline, bool& again) {
  if (deadline.at_ns != Deadline::kNever) deadline.at_ns += static_cast<int64_t>(kGraceSeconds * 1e9);
  FarAnswer answer{};
  std::byte heard{};
  const bool read = receive_bytes(line, std::span(&heard, 1), deadline);
  if (read && heard != kHeard) return fail(ErrorCode::malformed, "connect: rank 0 sent something that is no answer");
  if (read && receive_bytes(line, std::as_writable_bytes(std::span(&answer, 1)), deadline)) return answer;
  if (errno == ETIMEDOUT) {
    return fail(ErrorCode::timed_out,
                "connect: rank 0 was reached but did not answer in time; it knows which ranks are missing");
  }
  again = !read;
  return fail(ErrorCode::peer_lost,
              "connect: rank 0 closed the connection before all ranks had joined; it died, or this rank does not "
              "belong to its job");
}

// Greets whoever listens there, and hears the answer. `again`: another meeting was met.
Expected<FarAnswer> ask(const Rendezvous& rendezvous, size_t window_bytes, FarMeeting& meeting, Deadline deadline,
                        bool& again) {
  again = false;
  const auto place = tcp_place(rendezvous.address);
  if (!place) return fail(place.error());
  auto line = reach_rank_zero(*place, deadline);
  if (!line) return fail(line.error());
  // Only on the network over which rank 0 is reached.
  meeting.listener = listen_tcp({own_address_of(line->get()), 0});
  if (!meeting.listener.valid()) {
    return fail(ErrorCode::io,
                fmt::format("connect: rank {} cannot listen ({})", rendezvous.rank, strerrordesc_np(errno)));
  }
  const FarHello hello = make_far_hello(rendezvous, port_of(meeting.listener.get()), window_bytes);
  if (!send_bytes(line->get(), bytes_of(hello), deadline)) {
    again = errno == EPIPE || errno == ECONNRESET;
    return fail(ErrorCode::io, fmt::format("connect: greeting rank 0 failed ({})", strerrordesc_np(errno)));
  }
  auto answer = hear_rank_zero(line->get(), deadline, again);
  meeting.lines.clear();
  meeting.lines.push_back(std::move(*line));
  if (answer && std::memcmp(answer->magic, hello.hello.magic, sizeof answer->magic) != 0) {
    return fail(ErrorCode::malformed, "connect: rank 0 sent something that is no answer");
  }
  again = again || (answer && answer->refused == kAnotherMeeting);
  return answer;
}

// Ranks of one host share a clock. Between hosts the answer's way is what the estimate is off by.
void follow_clock(const FarAnswer& answer, const std::vector<FarSeat>& seats, int rank) {
  constexpr int64_t kMostClock = int64_t{1} << 61;
  if (seats[0].host == seats[static_cast<size_t>(rank)].host) return;
  if (answer.clock_ns < 0 || answer.clock_ns > kMostClock) return;
  set_trace_clock(answer.clock_ns - monotonic_ns());
}

Expected<FarMeeting> meet_as_tcp_guest(const Rendezvous& rendezvous, size_t window_bytes, Deadline deadline) {
  FarMeeting meeting;
  bool again = false;
  auto answer = ask(rendezvous, window_bytes, meeting, deadline, again);
  while (again && !deadline.passed()) {
    usleep(kRetryMicroseconds);
    answer = ask(rendezvous, window_bytes, meeting, deadline, again);
  }
  if (!answer) return fail(answer.error());
  auto seats = read_answer(*answer, rendezvous.size);
  if (!seats) return fail(seats.error());
  follow_clock(*answer, *seats, rendezvous.rank);
  meeting.seats = std::move(*seats);
  meeting.lines.resize(meeting.seats.size());
  meeting.seats[0].address = address_of_peer(meeting.lines[0].get());  // as this rank sees it
  return meeting;
}

}  // namespace

Expected<FarSeat> read_hello(const FarHello& hello, std::string_view address) {
  return checked_seat(text_of(hello.host), printable(address, kAddressBytes - 1), hello.port, hello.pid,
                      hello.window_bytes);
}

Expected<std::vector<FarSeat>> read_answer(const FarAnswer& answer, int size) {
  if (answer.refused != 0) {
    const auto code = answer.code == static_cast<uint32_t>(ErrorCode::timed_out)   ? ErrorCode::timed_out
                      : answer.code == static_cast<uint32_t>(ErrorCode::peer_lost) ? ErrorCode::peer_lost
                                                                                   : ErrorCode::mismatch;
    return fail(code, text_of(answer.text));
  }
  if (answer.size != size) return fail(ErrorCode::malformed, "connect: rank 0 answered for another number of ranks");
  std::vector<FarSeat> seats;
  for (int rank = 0; rank < size; ++rank) {
    const FarAnswer::Chair& chair = answer.chairs[rank];
    auto seat = checked_seat(text_of(chair.host), text_of(chair.address), chair.port, chair.pid, chair.window_bytes);
    if (!seat) return fail(seat.error());
    seats.push_back(std::move(*seat));
  }
  return seats;
}

Expected<FarMeeting> meet_over_tcp(const Rendezvous& rendezvous, size_t window_bytes, Deadline deadline) {
  if (rendezvous.rank == 0) return TcpHost(rendezvous, window_bytes, deadline).run();
  return meet_as_tcp_guest(rendezvous, window_bytes, deadline);
}

}  // namespace tandem
