// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/comm/relay.h"
#include "tandem/comm/segment.h"

namespace tandem {

// What one rank waits for: counter `counter` of rank `peer` at `value` or beyond; with kAnyPair, whatever changes.
struct Goal {
  int peer = 0;
  int counter = 0;
  uint32_t value = 0;
  uint64_t packed() const;
};

// The root cause of a dead communicator: the same on all ranks.
struct Failure {
  ErrorCode code = ErrorCode::peer_lost;
  int culprit = 0;
  std::string reason;  // names `rank N`
};

// All segments of a communicator as one rank sees them. Reads are checked: a peer's word never becomes an index.
class Board {
 public:
  Board(int rank, std::vector<Segment*> segments) : rank_(rank), segments_(std::move(segments)) {}

  // Ranks of other hosts: `relay` tells them what changes here; `leader` is the lowest rank of this host, where its
  // ranks settle who failed first.
  void relay_through(Relay* relay, int leader) {
    relay_ = relay;
    leader_ = leader;
  }

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(segments_.size()); }
  Segment& own() const { return *segments_[static_cast<size_t>(rank_)]; }
  Segment& of(int rank) const { return *segments_[static_cast<size_t>(rank)]; }

  bool reached(const Goal& goal) const { return reached(goal, rank_); }
  bool left(int rank) const;
  bool inside(int rank) const;
  uint32_t steps(int rank) const;

  // Stores an own counter (it may only grow) and wakes the peers that wait for it.
  void publish(int counter, uint32_t value) const;
  // Stores an own counter that nobody can be waiting for, or right before a publish() of another.
  void note(int counter, uint32_t value) const;
  // Counter kSent or kTaken of rank `of` towards rank `towards`.
  std::atomic<uint32_t>& pair_counter(int counter, int of, int towards) const;
  void publish_pair(int counter, int towards, uint32_t value) const;
  // Progress that a waiting peer's clock sees.
  void count_step() const;
  // Around a sleep on the own bell: what it waits for.
  void say_blocked(const Goal& goal) const;
  void say_awake() const;
  void mark_left() const;
  // What `rank` says it waits for; nothing when that makes no sense.
  std::optional<Goal> blocked(int rank) const;
  // The failure `rank` published, if any.
  std::optional<Failure> failure_of(int rank) const;
  // Fault injection: noise instead of this rank's segment but its identity, and of `bytes` behind it.
  void scribble(size_t bytes) const;
  void ring(int rank) const;
  void ring_all() const;

  // Who keeps `goal` from being reached: follows what its peer waits for, and so on.
  Goal culprit_of(Goal goal) const;

  // Makes `failure` known; returns the root cause, which may be a peer's that came first.
  Failure settle(Failure failure) const;
  static void store_failure(FailureArea& area, const Failure& failure);
  // The failure a peer published, if any.
  std::optional<Failure> published() const;

 private:
  bool reached(const Goal& goal, int waiter) const;
  void wake(int rank) const;
  // Rank whose failure counts, -1 while nobody claimed.
  int claimant() const;

  int rank_;
  int leader_ = 0;
  Relay* relay_ = nullptr;
  std::vector<Segment*> segments_;
};

}  // namespace tandem
