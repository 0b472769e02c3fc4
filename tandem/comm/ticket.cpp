// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/ticket.h"

#include <algorithm>
#include <chrono>

#include "tandem/exec/wait.h"

namespace tandem {

uint64_t TicketQueue::take() {
  const std::lock_guard lock(mutex_);
  return next_++;
}

TicketQueue::Outcome TicketQueue::await(uint64_t ticket, double patience_s, const std::function<bool()>& broken) {
  std::unique_lock lock(mutex_);
  uint64_t seen = turn_;
  Deadline deadline = Deadline::after_seconds(patience_s);
  while (turn_ != ticket) {
    lock.unlock();  // the question may take locks of its own
    if (broken()) return Outcome::broken;
    lock.lock();
    if (turn_ != seen) {
      seen = turn_;
      deadline = Deadline::after_seconds(patience_s);
    }
    if (turn_ == ticket) break;
    if (deadline.passed()) return Outcome::late;
    changed_.wait_for(lock, std::chrono::milliseconds(20));
  }
  return Outcome::up;
}

void TicketQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_at_ = std::min(closed_at_, next_);
}

bool TicketQueue::closed_to(uint64_t ticket) const {
  const std::lock_guard lock(mutex_);
  return ticket >= closed_at_;
}

bool TicketQueue::done() const {
  const std::lock_guard lock(mutex_);
  return turn_ >= closed_at_;
}

void TicketQueue::end(uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  if (ticket < turn_ || ticket >= next_) return;
  ended_early_.insert(ticket);
  while (ended_early_.erase(turn_) != 0) ++turn_;
  changed_.notify_all();
}

}  // namespace tandem
