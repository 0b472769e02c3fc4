// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/comm/descriptor.h"

namespace tandem {

// Unix sockets in the abstract namespace: no file, nothing left behind. Packets, so that one message is one receive
// and carries its descriptors with it.

// -1 in `number` and errno on failure.
Descriptor listen_abstract(const std::string& name);
Descriptor connect_abstract(const std::string& name);
Descriptor accept_connection(int listener);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = static_cast<uid_t>(-1);
};
PeerCredentials credentials_of(int socket);

// One packet. False with errno on failure; EAGAIN when it would block.
bool send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors);

struct Packet {
  size_t bytes = 0;
  bool complete = false;  // neither the bytes nor the descriptors were cut short
  std::vector<Descriptor> descriptors;
};
// Receives without blocking into `buffer`. `bytes` is 0 at the end of the stream; nothing with errno on failure.
struct PacketResult {
  bool received = false;
  int error = 0;
  Packet packet;
};
PacketResult receive_packet(int socket, std::span<std::byte> buffer, size_t most_descriptors);

// Waits until `socket` has something to read, at most `milliseconds`.
bool readable(int socket, int milliseconds);

}  // namespace tandem
