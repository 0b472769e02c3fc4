// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
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
  uint32_t absent;   // 1 + the error code of a rank that cannot take part
  char name[128];
  char reason[512];  // why
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
// Why a rank that knows the cookie cannot take part in rank 0's meeting, if so. `bytes`: how much of `theirs` came.
std::optional<std::string> objection_to(const Hello& theirs, const Hello& mine, size_t bytes);

Expected<Meeting> meet_as_host(const Rendezvous& rendezvous, const Seat& own, Deadline deadline);
Expected<Meeting> meet_as_guest(const Rendezvous& rendezvous, const Seat& own, Deadline deadline);

// This rank cannot take part: tells the others why, so that none waits for it in vain. Takes some seconds at most.
void send_apology(const Rendezvous& rendezvous, const Error& reason);
void refuse_guests(const Rendezvous& rendezvous, const Error& reason, Deadline deadline);  // rank 0's part of it

// What rank 0 makes of a first message of `bytes` bytes in `hello`.
struct Verdict {
  enum class Kind : uint8_t { welcome, stranger, misfit } kind = Kind::stranger;
  Error error;  // of a misfit
};
Verdict judge_hello(const Hello& hello, const Hello& mine, size_t bytes);
// What another rank makes of the answer; nothing when it is an invitation.
std::optional<Error> judge_answer(const Answer& answer, size_t bytes, int size);

}  // namespace tandem
