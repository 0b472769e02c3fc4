// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tandem/comm/board.h"

namespace tandem {

// Seconds; 0 = never.
struct WaitLimits {
  double call_s = 300;  // a live peer that has not called the operator: HCCL_EXEC_TIMEOUT
  double stall_s = 30;  // a peer inside an operator without progress: TANDEM_STALL_S
};
WaitLimits wait_limits_from_env();

// A tracer is attached to the process. 0 = this one.
bool debugged(int pid);

// Tells when a wait has lasted too long. Time counts while the same rank is to blame and makes no progress, and only
// as far as this thread saw it pass: a job stopped as a whole (Ctrl-Z, a suspended machine) loses no time.
class StallClock {
 public:
  StallClock(const Board& board, Goal goal, WaitLimits limits, std::span<const int> pids, std::string_view operation);
  // To be called at least every 20 ms; the failure once the limit has passed.
  std::optional<Failure> check();

 private:
  struct Suspect {
    int rank = -1;
    uint32_t steps = 0;
    bool inside = true;  // in an operator, not on its way to one
    bool operator==(const Suspect&) const = default;
  };
  Suspect suspect() const;
  double limit() const;
  Failure failure() const;

  const Board& board_;
  Goal goal_;
  WaitLimits limits_;
  std::span<const int> pids_;
  std::string_view operation_;
  Suspect suspect_;
  int64_t seen_ns_ = 0;
  int64_t waited_ns_ = 0;
};

}  // namespace tandem
