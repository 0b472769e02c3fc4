// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/tcp.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <utility>

namespace tandem {
namespace {

constexpr int kBacklog = 128;
constexpr std::string_view kScheme = "tcp://";

using Resolved = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Resolved resolve(const TcpPlace& place, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(place.port);
  const char* host = place.host.empty() ? nullptr : place.host.c_str();
  if (getaddrinfo(host, port.c_str(), &hints, &found) != 0) {
    found = nullptr;
    errno = EADDRNOTAVAIL;
  }
  return {found, &freeaddrinfo};
}

Descriptor stream_socket(int family) {
  return Descriptor(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

void set_option(int socket, int level, int name, int value) { setsockopt(socket, level, name, &value, sizeof value); }

Descriptor listen_at(const addrinfo& where) {
  Descriptor made = stream_socket(where.ai_family);
  if (!made.valid()) return made;
  set_option(made.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (where.ai_family == AF_INET6) set_option(made.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  const bool bound = bind(made.get(), where.ai_addr, where.ai_addrlen) == 0;
  return bound && listen(made.get(), kBacklog) == 0 ? std::move(made) : Descriptor();
}

bool is_literal(const std::string& host) {
  in6_addr ignored;
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 || inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

std::string numeric(const sockaddr_storage& address, socklen_t length) {
  char text[NI_MAXHOST] = {};
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (getnameinfo(generic, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) return "?";
  const std::string_view whole = text;
  constexpr std::string_view kMapped = "::ffff:";  // IPv4 seen through a socket for both
  return std::string(whole.starts_with(kMapped) ? whole.substr(kMapped.size()) : whole);
}

int patience_ms(Deadline deadline) {
  constexpr int64_t kSlice = 100'000'000;
  if (deadline.at_ns == Deadline::kNever) return static_cast<int>(kSlice / 1'000'000);
  return static_cast<int>(std::clamp<int64_t>(deadline.at_ns - monotonic_ns(), 0, kSlice) / 1'000'000) + 1;
}

// Waits for `events` a while; whether the caller may try again.
bool again(int socket, short events, Deadline deadline) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  if (deadline.passed()) return errno = ETIMEDOUT, false;
  pollfd event{socket, events, 0};
  poll(&event, 1, patience_ms(deadline));
  return true;
}

}  // namespace

bool is_tcp(std::string_view address) { return address.starts_with(kScheme); }

Expected<TcpPlace> tcp_place(std::string_view address) {
  std::string_view rest = address.substr(std::min(address.size(), kScheme.size()));
  rest = rest.substr(0, rest.find('/'));
  const size_t colon = rest.rfind(':');
  TcpPlace place;
  if (colon != std::string_view::npos) {
    std::string_view host = rest.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    place.host = host;
    const std::string_view port = rest.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), place.port);
    if (error != std::errc{} || end != port.data() + port.size()) place.port = 0;
  }
  if (is_tcp(address) && !place.host.empty() && place.host.size() < NI_MAXHOST && place.port != 0) return place;
  // The text after the slash may be a secret.
  return fail(ErrorCode::invalid_argument, "connect: address is no tcp://host:port with a port of 1 to 65535");
}

std::string tcp_address_at(std::string_view address, std::string_view host, std::string_view more) {
  const size_t slash = address.find('/', kScheme.size());
  const std::string_view secret = slash == std::string_view::npos ? std::string_view() : address.substr(slash + 1);
  const auto place = tcp_place(address);
  const bool colons = host.find(':') != std::string_view::npos;
  return fmt::format("{}{}{}{}:{}/{}/{}", kScheme, colons ? "[" : "", host, colons ? "]" : "", place ? place->port : 0,
                     secret, more);
}

Descriptor listen_tcp(const TcpPlace& place) {
  if (is_literal(place.host)) {
    if (const Resolved where = resolve(place, AI_PASSIVE | AI_NUMERICHOST)) {
      Descriptor made = listen_at(*where);
      if (made.valid() || errno != EADDRNOTAVAIL) return made;
    }
  }
  const sockaddr_in6 any6{AF_INET6, htons(place.port), 0, IN6ADDR_ANY_INIT, 0};
  const sockaddr_in any4{AF_INET, htons(place.port), {INADDR_ANY}, {}};
  addrinfo where{};
  where.ai_family = AF_INET6;
  where.ai_addr = reinterpret_cast<sockaddr*>(const_cast<sockaddr_in6*>(&any6));
  where.ai_addrlen = sizeof any6;
  Descriptor made = listen_at(where);
  if (made.valid() || errno == EADDRINUSE) return made;
  where.ai_family = AF_INET;
  where.ai_addr = reinterpret_cast<sockaddr*>(const_cast<sockaddr_in*>(&any4));
  where.ai_addrlen = sizeof any4;
  return listen_at(where);
}

namespace {

Descriptor connect_to(const addrinfo& where, int milliseconds) {
  Descriptor made = stream_socket(where.ai_family);
  if (!made.valid() || connect(made.get(), where.ai_addr, where.ai_addrlen) == 0) return made;
  if (errno != EINPROGRESS) return Descriptor();
  pollfd event{made.get(), POLLOUT, 0};
  if (poll(&event, 1, milliseconds) <= 0) return errno = ETIMEDOUT, Descriptor();
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(made.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error == 0) return made;
  errno = error;
  return Descriptor();
}

}  // namespace

Descriptor connect_tcp(const TcpPlace& place, int milliseconds) {
  const Resolved found = resolve(place, 0);
  Descriptor made;
  for (const addrinfo* where = found.get(); where != nullptr && !made.valid(); where = where->ai_next) {
    made = connect_to(*where, milliseconds);
  }
  if (made.valid()) set_option(made.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  return made;
}

uint16_t port_of(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  // The port lies at the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

std::string address_of_peer(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  return numeric(address, length);
}

std::string own_address_of(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  return numeric(address, length);
}

// The kernel asks once a second while nothing is under way; what is under way has the same time to be acknowledged. The
// last question may come up to a second late.
void watch_link(int socket, double seconds) {
  const int milliseconds = std::max(1000, static_cast<int>(seconds * 1000) - 1500);
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, std::max(1, milliseconds / 1000));
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds);
}

bool send_bytes(int socket, std::span<const std::byte> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) bytes = bytes.subspan(static_cast<size_t>(sent));
    if (sent < 0 && !again(socket, POLLOUT, deadline)) return false;
  }
  return true;
}

bool receive_bytes(int socket, std::span<std::byte> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t got = recv(socket, bytes.data(), bytes.size(), 0);
    if (got == 0) return errno = 0, false;
    if (got > 0) bytes = bytes.subspan(static_cast<size_t>(got));
    if (got < 0 && !again(socket, POLLIN, deadline)) return false;
  }
  return true;
}

bool hung_up(int socket) {
  std::byte one;
  const ssize_t got = recv(socket, &one, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

// --- the gate

namespace {

constexpr int64_t kGreetingNs = 5'000'000'000;  // whoever says nothing for longer is dropped
constexpr size_t kMostStrangers = 256;

}  // namespace

void Gate::admit() {
  while (strangers_.size() < kMostStrangers) {
    Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) return;
    set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    std::string from = address_of_peer(socket.get());
    strangers_.push_back({{std::move(socket), std::move(from), {}}, monotonic_ns()});
  }
}

// Reads what is there; false when the stranger is gone.
bool Gate::listen_to(Stranger& stranger) {
  std::vector<std::byte>& message = stranger.visitor.message;
  const size_t before = message.size();
  message.resize(bytes_);
  const ssize_t got = recv(stranger.visitor.socket.get(), message.data() + before, bytes_ - before, 0);
  message.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
  return monotonic_ns() - stranger.since_ns < kGreetingNs || !message.empty();
}

std::optional<Gate::Visitor> Gate::finished() {
  for (size_t i = 0; i < strangers_.size(); ++i) {
    Stranger& stranger = strangers_[i];
    const bool late = monotonic_ns() - stranger.since_ns >= kGreetingNs;
    if (stranger.visitor.message.size() < bytes_ && !late) continue;
    std::optional<Visitor> visitor = std::move(stranger.visitor);
    strangers_.erase(strangers_.begin() + static_cast<std::ptrdiff_t>(i));
    return visitor;
  }
  return std::nullopt;
}

std::optional<Gate::Visitor> Gate::next(int milliseconds) {
  if (auto visitor = finished()) return visitor;
  std::vector<pollfd> events{{listener_.get(), POLLIN, 0}};
  for (const Stranger& stranger : strangers_) events.push_back({stranger.visitor.socket.get(), POLLIN, 0});
  poll(events.data(), events.size(), milliseconds);
  admit();
  std::erase_if(strangers_, [&](Stranger& stranger) { return !listen_to(stranger); });
  return finished();
}

}  // namespace tandem
