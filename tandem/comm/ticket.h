// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>

namespace tandem {

// Turns in the order tickets were taken. A ticket may end before its turn: its work was dropped.
class TicketQueue {
 public:
  enum class Outcome : uint8_t { up, broken, late };

  uint64_t take();
  // Waits for the turn. `broken` is asked every few milliseconds; `patience_s` counts from the last change of turn,
  // 0 = for ever.
  Outcome await(uint64_t ticket, double patience_s, const std::function<bool()>& broken);
  void end(uint64_t ticket);
  // Tickets taken from now on have no turn.
  void close();
  bool closed_to(uint64_t ticket) const;
  // Closed, and every ticket taken before has ended.
  bool done() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ = 0;
  uint64_t turn_ = 0;
  uint64_t closed_at_ = UINT64_MAX;
  std::set<uint64_t> ended_early_;
};

}  // namespace tandem
