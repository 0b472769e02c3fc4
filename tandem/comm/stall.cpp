// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/stall.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "tandem/base/env.h"
#include "tandem/exec/wait.h"

namespace tandem {
namespace {

constexpr double kPatienceFactor = 10;                  // under sanitizers and debuggers
constexpr int64_t kLongestObservation = 1'000'000'000;  // ns; a longer gap means that this thread itself was stopped

constexpr bool sanitized() {
#ifdef TANDEM_SANITIZED
  return true;
#else
  return false;
#endif
}

}  // namespace

WaitLimits wait_limits_from_env() {
  WaitLimits limits;
  limits.call_s = static_cast<double>(env_integer("HCCL_EXEC_TIMEOUT", 0, INT32_MAX).value_or(300));
  limits.stall_s = env_number("TANDEM_STALL_S", 0, 1e9).value_or(30);
  if (sanitized()) limits.stall_s *= kPatienceFactor;
  return limits;
}

bool debugged(int pid) {
  std::ifstream status(pid == 0 ? std::string("/proc/self/status") : fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("TracerPid:", 0) == 0) return line.find_first_of("123456789") != std::string::npos;
  }
  return false;
}

StallClock::StallClock(const Board& board, Goal goal, WaitLimits limits, std::span<const int> pids,
                       std::string_view operation)
    : board_(board), goal_(goal), limits_(limits), pids_(pids), operation_(operation), seen_ns_(monotonic_ns()) {}

StallClock::Suspect StallClock::suspect() const {
  const Goal open = board_.culprit_of(goal_);
  // Whoever is awaited at a signal has called; at its call or its end of a message it may not have.
  const bool inside = open.counter < kSignals || board_.inside(open.peer);
  return {open.peer, board_.steps(open.peer), inside};
}

double StallClock::limit() const {
  if (!suspect_.inside) return limits_.call_s;
  const int pid = static_cast<size_t>(suspect_.rank) < pids_.size() ? pids_[static_cast<size_t>(suspect_.rank)] : 0;
  const bool traced = debugged(0) || (pid != 0 && debugged(pid));
  return traced ? limits_.stall_s * kPatienceFactor : limits_.stall_s;
}

Failure StallClock::failure() const {
  const int rank = suspect_.rank;
  if (suspect_.inside) {
    return {ErrorCode::timed_out, rank,
            fmt::format("rank {} made no progress for {:.3g} s (TANDEM_STALL_S)", rank, limit())};
  }
  return {ErrorCode::timed_out, rank,
          fmt::format("rank {} has not called {} for {:.3g} s (HCCL_EXEC_TIMEOUT)", rank, operation_, limit())};
}

std::optional<Failure> StallClock::check() {
  const int64_t now = monotonic_ns();
  const Suspect current = suspect();
  waited_ns_ = current == suspect_ ? waited_ns_ + std::min(now - seen_ns_, kLongestObservation) : 0;
  suspect_ = current;
  seen_ns_ = now;
  const double shortest = suspect_.inside ? limits_.stall_s : limits_.call_s;
  const double waited_s = static_cast<double>(waited_ns_) * 1e-9;
  if (shortest <= 0 || waited_s < shortest || waited_s < limit()) return std::nullopt;
  return failure();
}

}  // namespace tandem
