// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"
#include "tandem/comm/descriptor.h"
#include "tandem/comm/rendezvous.h"
#include "tandem/exec/wait.h"

// How ranks of several hosts meet: at rank 0's TCP address, for a table of who is where. Ranks of one host then meet at
// their Unix socket as ever; every two ranks of different hosts keep one connection, which tells of the other's end.
namespace tandem {

inline constexpr size_t kHostIdBytes = 80;
inline constexpr size_t kAddressBytes = 64;
inline constexpr size_t kWireAddressBytes = 8192;

// What a rank says of itself when it meets rank 0.
struct FarHello {
  Hello hello;
  char host[kHostIdBytes];
  uint32_t pid;
  uint32_t port;  // where ranks above it connect
  uint64_t window_bytes;
};

// Rank 0's answer: everybody's seat, or the reason why there is no meeting.
struct FarAnswer {
  struct Chair {
    char host[kHostIdBytes];
    char address[kAddressBytes];
    uint32_t pid;
    uint32_t port;
    uint64_t window_bytes;
  };
  char magic[8];
  uint32_t refused;
  uint32_t code;
  int32_t size;
  uint32_t reserved;
  int64_t clock_ns;  // rank 0's, as it sends
  char text[1024];
  Chair chairs[kMaxRanks];
};

// What two ranks of different hosts tell each other first.
struct Greeting {
  Hello hello;
  uint32_t wire_bytes;
  uint32_t reserved;
  char wire[kWireAddressBytes];
};

// A rank as all others know it; every field was checked.
struct FarSeat {
  std::string host;
  std::string address;  // numeric
  uint16_t port = 0;
  int pid = 0;
  size_t window_bytes = 0;
};

struct FarMeeting {
  std::vector<FarSeat> seats;     // by rank
  std::vector<Descriptor> lines;  // rank 0: to each other rank; others: [0] to rank 0
  Descriptor listener;            // for the ranks above this one
};

// A rank of another host that was greeted.
struct FarPeer {
  Descriptor line;              // invalid for ranks of this host
  std::vector<std::byte> wire;  // where its transport listens
};

// Readers of what came over the network: nothing in it is used before it was checked.
Expected<FarSeat> read_hello(const FarHello& hello, std::string_view address);
Expected<std::vector<FarSeat>> read_answer(const FarAnswer& answer, int size);
Expected<std::vector<std::byte>> read_greeting(const Greeting& greeting, const Hello& mine, int rank);

Expected<FarMeeting> meet_over_tcp(const Rendezvous& rendezvous, size_t window_bytes, Deadline deadline);
// Connects to every rank of another host and tells each this rank's `wire` address.
Expected<std::vector<FarPeer>> greet_far_ranks(const Rendezvous& rendezvous, FarMeeting& meeting,
                                               std::span<const std::byte> wire, Deadline deadline);

}  // namespace tandem
