// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/rendezvous.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tandem/comm/fingerprint.h"
#include "tandem/comm/socket.h"
#include "tandem/version.h"

// What both sides share, and the side of ranks 1 and up.
namespace tandem {
namespace {

constexpr char kHello[8] = {'T', 'A', 'N', 'D', 'E', 'M', 'H', 'I'};
constexpr double kGraceSeconds = 3;  // rank 0 knows who is missing: its verdict is worth waiting for
constexpr double kApologySeconds = 5;
constexpr useconds_t kRetryMicroseconds = 5'000;
constexpr size_t kStableBytes = offsetof(Hello, layout);

// Codes a rank may give as the reason of a failed meeting.
ErrorCode shared_code(uint32_t code) {
  for (const ErrorCode known : {ErrorCode::timed_out, ErrorCode::peer_lost, ErrorCode::out_of_memory, ErrorCode::io,
                                ErrorCode::unsupported}) {
    if (code == static_cast<uint32_t>(known)) return known;
  }
  return ErrorCode::mismatch;
}

// FNV-1a with a final mix; `salt` makes independent hashes of one text.
uint64_t hash(std::string_view text, uint64_t salt) {
  uint64_t value = 0xcbf29ce484222325u ^ salt;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  return value ^ value >> 31;
}

std::string text_of(const char* bytes, size_t limit) { return printable({bytes, strnlen(bytes, limit)}, limit); }

tl::unexpected<Error> no_host(const std::string& last) {
  return fail(
      ErrorCode::timed_out,
      fmt::format("connect: rank 0 was not reached in time ({}); is it started, with the same address, user and "
                  "network namespace?",
                  last));
}

struct Contact {
  Descriptor socket;
  int host_pid = 0;
};

// Keeps trying until rank 0 listens. A listener of another user is not ours: somebody may sit on the name.
Expected<Contact> reach_host(const std::string& name, Deadline deadline) {
  std::string last = "nobody listens";
  while (!deadline.passed()) {
    Descriptor socket = connect_abstract(name);
    if (socket.valid()) {
      const PeerCredentials host = credentials_of(socket.get());
      if (host.uid == geteuid()) return Contact{std::move(socket), host.pid};
      last = fmt::format("the listener belongs to user {}, user {} wanted", host.uid, geteuid());
    } else if (errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR) {
      last = strerrordesc_np(errno);
    }
    usleep(kRetryMicroseconds);
  }
  return no_host(last);
}

Expected<Meeting> read_answer(PacketResult& result, const Answer& answer, const Rendezvous& rendezvous) {
  const auto size = static_cast<size_t>(rendezvous.size);
  if (auto objection = judge_answer(answer, result.packet.bytes, rendezvous.size)) return fail(std::move(*objection));
  if (!result.packet.complete || result.packet.descriptors.size() != 2 * size) {
    return fail(ErrorCode::out_of_memory,
                fmt::format("connect: {} of {} descriptors received; ulimit -n raised by 2 for each rank is wanted",
                            result.packet.descriptors.size(), 2 * size));
  }
  Meeting meeting;
  for (size_t rank = 0; rank < size; ++rank) {
    meeting.seats.push_back({std::move(result.packet.descriptors[2 * rank]),
                             std::move(result.packet.descriptors[2 * rank + 1]), answer.pids[rank]});
  }
  return meeting;
}

}  // namespace

std::string socket_name(std::string_view address) {
  return fmt::format("tandem-{}-{:016x}", geteuid(), hash(address, 0));
}

void cookie_of(std::string_view address, uint64_t (&cookie)[2]) {
  cookie[0] = hash(address, 0x7461'6e64'656d'0001u);
  cookie[1] = hash(address, 0x7461'6e64'656d'0002u);
}

Hello make_hello(const Rendezvous& rendezvous) {
  Hello hello{};
  std::memcpy(hello.magic, kHello, sizeof kHello);
  std::strncpy(hello.build, build(), sizeof hello.build - 1);
  cookie_of(rendezvous.address, hello.cookie);
  hello.layout = kLayoutVersion;
  hello.rank = rendezvous.rank;
  hello.size = rendezvous.size;
  hello.members = rendezvous.members;
  std::memcpy(hello.name, rendezvous.name.data(), std::min(rendezvous.name.size(), sizeof hello.name - 1));
  return hello;
}

std::optional<std::string> objection_to(const Hello& theirs, const Hello& mine, size_t bytes) {
  const std::string version = text_of(theirs.build, sizeof theirs.build);
  if (bytes != sizeof(Hello) || version != build() || theirs.layout != kLayoutVersion) {
    return fmt::format("connect: a rank runs version {}, rank 0 runs version {}; the same build is wanted", version,
                       build());
  }
  if (theirs.size != mine.size) {
    return fmt::format("connect: rank {} was started for {} ranks, rank 0 for {}", theirs.rank, theirs.size, mine.size);
  }
  if (theirs.rank < 1 || theirs.rank >= mine.size) {
    return fmt::format("connect: a process joined as rank {}, 1 to {} wanted", theirs.rank, mine.size - 1);
  }
  if (theirs.members != mine.members) {
    return fmt::format("connect: rank {} of '{}' listed other ranks than rank 0, or in another order", theirs.rank,
                       text_of(mine.name, sizeof mine.name));
  }
  if (std::memcmp(theirs.name, mine.name, sizeof theirs.name) != 0) {
    return fmt::format("connect: rank {} calls the group '{}', rank 0 calls it '{}'", theirs.rank,
                       text_of(theirs.name, sizeof theirs.name), text_of(mine.name, sizeof mine.name));
  }
  return std::nullopt;
}

Verdict judge_hello(const Hello& hello, const Hello& mine, size_t bytes) {
  const bool ours = bytes >= kStableBytes && std::memcmp(hello.magic, mine.magic, sizeof hello.magic) == 0 &&
                    std::memcmp(hello.cookie, mine.cookie, sizeof hello.cookie) == 0;
  if (!ours) return {};
  if (auto reason = objection_to(hello, mine, bytes)) {
    return {Verdict::Kind::misfit, {ErrorCode::mismatch, std::move(*reason)}};
  }
  if (hello.absent == 0) return {Verdict::Kind::welcome, {}};
  return {Verdict::Kind::misfit,
          {shared_code(hello.absent - 1), fmt::format("connect: rank {} cannot take part: {}", hello.rank,
                                                      text_of(hello.reason, sizeof hello.reason))}};
}

std::optional<Error> judge_answer(const Answer& answer, size_t bytes, int size) {
  if (bytes != sizeof(Answer) || std::memcmp(answer.magic, kHello, sizeof kHello) != 0) {
    return Error{ErrorCode::malformed, "connect: rank 0 sent something that is no answer"};
  }
  if (answer.refused != 0) return Error{shared_code(answer.code), text_of(answer.text, sizeof answer.text)};
  if (answer.size == size) return std::nullopt;
  return Error{ErrorCode::malformed, fmt::format("connect: rank 0 answers for {} ranks, {} wanted", answer.size, size)};
}

void send_apology(const Rendezvous& rendezvous, const Error& reason) {
  if (rendezvous.size == 1) return;
  const Deadline deadline = Deadline::after_seconds(kApologySeconds);
  if (rendezvous.rank == 0) {
    refuse_guests(rendezvous, {reason.code, "connect: rank 0 cannot take part: " + reason.message}, deadline);
    return;
  }
  const auto contact = reach_host(socket_name(rendezvous.address), deadline);
  if (!contact) return;
  Hello hello = make_hello(rendezvous);
  hello.absent = 1 + static_cast<uint32_t>(reason.code);
  std::memcpy(hello.reason, reason.message.data(), std::min(reason.message.size(), sizeof hello.reason - 1));
  send_packet(contact->socket.get(), std::as_bytes(std::span(&hello, 1)), {});
  readable(contact->socket.get(), 1000);  // rank 0 has read it when it answers
}

Expected<Meeting> meet_as_guest(const Rendezvous& rendezvous, const Seat& own, Deadline deadline) {
  auto contact = reach_host(socket_name(rendezvous.address), deadline);
  if (!contact) return fail(contact.error());
  const Hello hello = make_hello(rendezvous);
  const int descriptors[] = {own.segment.get(), own.pidfd.get()};
  while (!send_packet(contact->socket.get(), std::as_bytes(std::span(&hello, 1)), descriptors)) {
    // The kernel bounds descriptors in flight; others have to receive theirs first.
    const bool later = errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS;
    if (!later || deadline.passed()) {
      return fail(ErrorCode::io, fmt::format("connect: greeting rank 0 failed ({})", strerrordesc_np(errno)));
    }
    usleep(kRetryMicroseconds);
  }
  Deadline patience = deadline;
  if (patience.at_ns != Deadline::kNever) patience.at_ns += static_cast<int64_t>(kGraceSeconds * 1e9);
  Answer answer{};
  while (!patience.passed()) {
    if (!readable(contact->socket.get(), 100)) continue;
    auto result = receive_packet(contact->socket.get(), std::as_writable_bytes(std::span(&answer, 1)),
                                 2 * static_cast<size_t>(rendezvous.size));
    if (!result.received && result.error == EAGAIN) continue;
    if (!result.received || result.packet.bytes == 0) {
      return fail(ErrorCode::peer_lost,
                  "connect: rank 0 closed the connection before all ranks had joined; it died, "
                  "or this rank does not belong to its job");
    }
    auto meeting = read_answer(result, answer, rendezvous);
    if (meeting) meeting->witnesses.push_back(std::move(contact->socket));
    return meeting;
  }
  return fail(ErrorCode::timed_out,
              "connect: rank 0 was reached but did not answer in time; it knows which ranks are "
              "missing");
}

}  // namespace tandem
