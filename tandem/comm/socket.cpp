// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tandem {
namespace {

constexpr int kBacklog = 128;

struct Address {
  sockaddr_un address{};
  socklen_t length = 0;
};

Address abstract_address(const std::string& name) {
  Address result;
  result.address.sun_family = AF_UNIX;
  const size_t length = std::min(name.size(), sizeof result.address.sun_path - 1);
  std::memcpy(result.address.sun_path + 1, name.data(), length);
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  return result;
}

Descriptor packet_socket() { return Descriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

const sockaddr* as_sockaddr(const Address& address) { return reinterpret_cast<const sockaddr*>(&address.address); }

void take_descriptors(const cmsghdr& header, std::vector<Descriptor>& out) {
  const size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (size_t i = 0; i < count; ++i) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(const_cast<cmsghdr*>(&header)) + i * sizeof(int), sizeof number);
    out.emplace_back(number);
  }
}

}  // namespace

Descriptor listen_abstract(const std::string& name) {
  Descriptor made = packet_socket();
  const Address address = abstract_address(name);
  const bool listening =
      made.valid() && bind(made.get(), as_sockaddr(address), address.length) == 0 && listen(made.get(), kBacklog) == 0;
  return listening ? std::move(made) : Descriptor();
}

Descriptor connect_abstract(const std::string& name) {
  Descriptor made = packet_socket();
  const Address address = abstract_address(name);
  const bool connected = made.valid() && connect(made.get(), as_sockaddr(address), address.length) == 0;
  return connected ? std::move(made) : Descriptor();
}

Descriptor accept_connection(int listener) {
  return Descriptor(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

PeerCredentials credentials_of(int socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return {};
  return {credentials.pid, credentials.uid};
}

bool send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  std::vector<std::byte> control(CMSG_SPACE(descriptors.size_bytes()));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = -1;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(bytes.size());
}

PacketResult receive_packet(int socket, std::span<std::byte> buffer, size_t most_descriptors) {
  iovec part{buffer.data(), buffer.size()};
  std::vector<std::byte> control(CMSG_SPACE(most_descriptors * sizeof(int)));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t received = -1;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  PacketResult result;
  if (received < 0) {
    result.error = errno;
    return result;
  }
  result.received = true;
  result.packet.bytes = static_cast<size_t>(received);
  result.packet.complete = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    const bool rights = header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
    if (rights) take_descriptors(*header, result.packet.descriptors);
  }
  return result;
}

bool readable(int socket, int milliseconds) {
  pollfd event{socket, POLLIN, 0};
  return poll(&event, 1, milliseconds) > 0;
}

}  // namespace tandem
