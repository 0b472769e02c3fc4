// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "tandem/comm/fingerprint.h"
#include "tandem/exec/wait.h"

namespace tandem {
namespace {

constexpr int64_t kClaimNs = 20'000'000;  // a claimant writes its reason within microseconds, unless it died meanwhile

// Shared codes: other codes of a rank's own mistakes are no business of its peers.
bool shared_code(uint32_t code) {
  return code == static_cast<uint32_t>(ErrorCode::peer_lost) || code == static_cast<uint32_t>(ErrorCode::timed_out) ||
         code == static_cast<uint32_t>(ErrorCode::mismatch);
}

}  // namespace

uint64_t Goal::packed() const {
  const auto kind = static_cast<uint64_t>(counter + 1);
  return kind << 48 | static_cast<uint64_t>(peer) << 32 | value;
}

bool Board::reached(const Goal& goal, int waiter) const {
  if (goal.counter == kAnyPair) return false;
  const auto& counter = goal.counter < kCounters ? of(goal.peer).counters[goal.counter].value
                                                 : pair_counter(goal.counter, goal.peer, waiter);
  return static_cast<int32_t>(counter.load(std::memory_order_seq_cst) - goal.value) >= 0;
}

std::atomic<uint32_t>& Board::pair_counter(int counter, int of_rank, int towards) const {
  PairLine& line = of(of_rank).pairs[towards];
  return counter == kSent ? line.sent : line.taken;
}

bool Board::left(int rank) const {
  return of(rank).state.value.load(std::memory_order_acquire) == static_cast<uint32_t>(RankState::left);
}

bool Board::inside(int rank) const { return of(rank).progress.inside.load(std::memory_order_acquire) != 0; }

uint32_t Board::steps(int rank) const { return of(rank).progress.steps.load(std::memory_order_relaxed); }

namespace {

// A store that peers see at once, and that comes before all later loads. The fence does not hold up the store itself,
// as a sequentially consistent one would until everything written before has left the core; ThreadSanitizer knows no
// fences.
void store_before_loads(std::atomic<uint32_t>& word, uint32_t value) {
#ifdef TANDEM_SANITIZED
  word.store(value, std::memory_order_seq_cst);
#else
  word.store(value, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace

// Sleep and wake-up cannot miss each other: here the counter is stored before `blocked` is loaded, the waiter stores
// `blocked` before it loads the counter, and all four are in one order. So either this rank sees the goal or the waiter
// sees the counter.
void Board::publish(int counter, uint32_t value) const {
  count_step();
  store_before_loads(own().counters[counter].value, value);
  for (int peer = 0; peer < size(); ++peer) {
    if (peer != rank_) wake(peer);
  }
  if (relay_ != nullptr) relay_->tell_state();
}

void Board::note(int counter, uint32_t value) const {
  own().counters[counter].value.store(value, std::memory_order_release);
}

void Board::publish_pair(int counter, int towards, uint32_t value) const {
  count_step();
  store_before_loads(pair_counter(counter, rank_, towards), value);
  wake(towards);
  if (relay_ != nullptr) relay_->tell_pair(towards);
}

// Only the owner counts, so a plain addition will do.
void Board::count_step() const {
  auto& steps = own().progress.steps;
  steps.store(steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Rings `peer` if what it waits for is there.
void Board::wake(int peer) const {
  const auto goal = blocked(peer);
  if (!goal) return;
  const bool any = goal->counter == kAnyPair;
  if (any || (goal->peer == rank_ && reached(*goal, peer))) ring(peer);
}

void Board::say_blocked(const Goal& goal) const { own().blocked.goal.store(goal.packed(), std::memory_order_seq_cst); }

void Board::say_awake() const { own().blocked.goal.store(0, std::memory_order_release); }

void Board::mark_left() const {
  own().state.value.store(static_cast<uint32_t>(RankState::left), std::memory_order_release);
  ring_all();
  if (relay_ != nullptr) relay_->tell_state();
}

void Board::scribble(size_t bytes) const {
  constexpr size_t kFirst = offsetof(Segment, state), kWord = sizeof(uint64_t);
  auto* words = reinterpret_cast<uint64_t*>(&own());
  uint64_t noise = 0x9e3779b97f4a7c15u + static_cast<uint64_t>(rank_);
  for (size_t i = kFirst / kWord; i < (sizeof(Segment) + bytes) / kWord; ++i) {
    noise ^= noise << 13;
    noise ^= noise >> 7;
    noise ^= noise << 17;
    std::atomic_ref<uint64_t>(words[i]).store(noise, std::memory_order_relaxed);
  }
}

void Board::ring(int rank) const {
  of(rank).bell.value.fetch_add(1, std::memory_order_seq_cst);
  futex_wake_all(of(rank).bell.value);
}

void Board::ring_all() const {
  for (int rank = 0; rank < size(); ++rank) ring(rank);
}

std::optional<Goal> Board::blocked(int rank) const {
  const uint64_t word = of(rank).blocked.goal.load(std::memory_order_seq_cst);
  const auto kind = static_cast<int>(word >> 48);
  const auto peer = static_cast<int>(word >> 32 & 0xffff);
  if (kind < 1 || kind > kGoalKinds || peer >= size()) return std::nullopt;
  return Goal{peer, kind - 1, static_cast<uint32_t>(word)};
}

Goal Board::culprit_of(Goal goal) const {
  for (int hop = 0; hop < size(); ++hop) {
    const auto next = blocked(goal.peer);
    // A rank whose own wait is already over and that does not move is itself the one that hangs.
    if (!next || next->peer == rank_ || next->peer == goal.peer || reached(*next, goal.peer)) break;
    goal = *next;
  }
  return goal;
}

int Board::claimant() const {
  const uint32_t word = of(leader_).claim.value.load(std::memory_order_acquire);
  return word >= 1 && word <= static_cast<uint32_t>(size()) ? static_cast<int>(word) - 1 : -1;
}

Failure Board::settle(Failure failure) const {
  uint32_t nobody = 0;
  of(leader_).claim.value.compare_exchange_strong(nobody, static_cast<uint32_t>(rank_) + 1, std::memory_order_acq_rel);
  const int first = claimant();
  if (first >= 0 && first != rank_) {
    const Deadline patience{monotonic_ns() + kClaimNs};
    auto theirs = failure_of(first);
    for (; !theirs && !patience.passed(); theirs = failure_of(first)) thread_yield();
    if (theirs) failure = *theirs;
  }
  store_failure(own().failure, failure);
  ring_all();
  if (relay_ != nullptr) relay_->tell_failure(failure);
  return failure;
}

void Board::store_failure(FailureArea& area, const Failure& failure) {
  const auto code = static_cast<uint32_t>(failure.code);
  const size_t length = std::min(failure.reason.size(), kFailureTextBytes);
  area.code.store(shared_code(code) ? code : static_cast<uint32_t>(ErrorCode::peer_lost), std::memory_order_relaxed);
  area.culprit.store(static_cast<uint32_t>(failure.culprit), std::memory_order_relaxed);
  for (size_t i = 0; i < length; ++i) {
    area.text[i].store(static_cast<uint8_t>(failure.reason[i]), std::memory_order_relaxed);
  }
  area.length.store(static_cast<uint32_t>(length), std::memory_order_relaxed);
  area.published.store(1, std::memory_order_release);
}

std::optional<Failure> Board::failure_of(int rank) const {
  const FailureArea& area = of(rank).failure;
  if (area.published.load(std::memory_order_acquire) == 0) return std::nullopt;
  const uint32_t code = area.code.load(std::memory_order_relaxed);
  const uint32_t culprit = area.culprit.load(std::memory_order_relaxed);
  const size_t length = std::min<size_t>(area.length.load(std::memory_order_relaxed), kFailureTextBytes);
  Failure failure;
  if (shared_code(code)) failure.code = static_cast<ErrorCode>(code);
  failure.culprit = culprit < static_cast<uint32_t>(size()) ? static_cast<int>(culprit) : rank;
  std::string text(length, '\0');
  for (size_t i = 0; i < length; ++i) text[i] = static_cast<char>(area.text[i].load(std::memory_order_relaxed));
  failure.reason = printable(text, kFailureTextBytes);
  // Whatever a peer wrote, the text has to name somebody.
  if (failure.reason.find("rank ") == std::string::npos) failure.reason.insert(0, fmt::format("rank {}: ", rank));
  return failure;
}

std::optional<Failure> Board::published() const {
  for (int rank = 0; rank < size(); ++rank) {
    if (rank == rank_) continue;
    if (auto failure = failure_of(rank)) {
      const int first = claimant();
      const auto root = first >= 0 && first != rank_ ? failure_of(first) : std::nullopt;
      return root ? root : failure;
    }
  }
  return std::nullopt;
}

}  // namespace tandem
