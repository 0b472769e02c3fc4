// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"
#include "tandem/comm/descriptor.h"
#include "tandem/comm/segment.h"
#include "tandem/exec/wait.h"

namespace tandem {

// What one rank brings to the meeting: its segment, and a pidfd of itself (which no reused pid can imitate).
struct Seat {
  Descriptor segment;
  Descriptor pidfd;
  int pid = 0;
};

struct Meeting {
  std::vector<Seat> seats;            // by rank; the own one is empty
  std::vector<Descriptor> witnesses;  // sockets that stay open: rank 0's to all, the others' to rank 0
};

// First message of a rank. The bytes up to `cookie` keep their place in every version.
struct Hello {
  char magic[8];
  char build[56];
  uint64_t cookie[2];
  uint32_t layout;
  int32_t rank;
  int32_t size;
  uint32_t members;
  char name[128];
};

// Rank 0's answer: everybody's descriptors (segment, pidfd by rank), or the reason why there is no meeting.
struct Answer {
  char magic[8];
  uint32_t refused;
  uint32_t code;
  int32_t size;
  int32_t pids[kMaxRanks];
  char text[1024];
};

// Name of the abstract socket, and the cookie a rank must show. The cookie keeps strangers and other jobs of the same
// user out by accident; the user id check of SO_PEERCRED keeps other users out.
std::string socket_name(std::string_view address);
void cookie_of(std::string_view address, uint64_t (&cookie)[2]);
Hello make_hello(const Rendezvous& rendezvous);

Expected<Meeting> meet_as_host(const Rendezvous& rendezvous, const Seat& own, Deadline deadline);
Expected<Meeting> meet_as_guest(const Rendezvous& rendezvous, const Seat& own, Deadline deadline);

}  // namespace tandem
