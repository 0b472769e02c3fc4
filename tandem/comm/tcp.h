// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/comm/descriptor.h"
#include "tandem/exec/wait.h"

// TCP between hosts: where ranks meet, and by which they learn of each other's end. Sockets do not block.
namespace tandem {

struct TcpPlace {
  std::string host;
  uint16_t port = 0;
};

// "tcp://host:port", "tcp://[address]:port", and after a slash whatever makes it hard to guess.
bool is_tcp(std::string_view address);
Expected<TcpPlace> tcp_place(std::string_view address);
// The same address at another host, with `more` behind its secret.
std::string tcp_address_at(std::string_view address, std::string_view host, std::string_view more);

// -1 in `number` and errno on failure. A host that is a name listens on all interfaces, port 0 on any port.
Descriptor listen_tcp(const TcpPlace& place);
Descriptor connect_tcp(const TcpPlace& place, int milliseconds);
uint16_t port_of(int socket);
std::string address_of_peer(int socket);
std::string own_address_of(int socket);

// A link that carries nothing for `seconds` becomes an error of the socket; the kernels of both hosts ask each other,
// so a process that is merely stopped is no broken link.
void watch_link(int socket, double seconds);

// All bytes before the deadline; false with errno otherwise, 0 at the end of the stream.
bool send_bytes(int socket, std::span<const std::byte> bytes, Deadline deadline);
bool receive_bytes(int socket, std::span<std::byte> bytes, Deadline deadline);
// The peer closed the connection or it broke.
bool hung_up(int socket);

// A listening socket whose visitors have to begin with one message of `bytes` bytes.
class Gate {
 public:
  Gate(Descriptor listener, size_t bytes) : listener_(std::move(listener)), bytes_(bytes) {}

  struct Visitor {
    Descriptor socket;
    std::string from;
    std::vector<std::byte> message;  // shorter than `bytes` when the rest did not come in time
  };
  // A visitor that has said what it has to say, if there is one within `milliseconds`.
  std::optional<Visitor> next(int milliseconds);

 private:
  struct Stranger {
    Visitor visitor;
    int64_t since_ns = 0;
  };
  void admit();
  bool listen_to(Stranger& stranger);
  std::optional<Visitor> finished();

  Descriptor listener_;
  size_t bytes_;
  std::vector<Stranger> strangers_;
};

}  // namespace tandem
