// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

// Going to sleep and being woken (Board::publish, Impl::sleep_for) without the slices of 20 ms that would hide a lost
// wake-up: one rank publishes some values, others wait for the last. Stores may linger in a core's store buffer.
namespace tandem::model {

enum class SleepMutation : uint8_t {
  none,
  no_fence_after_store,    // the counter may still be in the store buffer when `blocked` is read
  no_fence_after_blocked,  // the same of the waiter's word
  blocked_said_too_late,   // after the last look at the counter
  bell_read_too_late,      // after the last look at the counter
  wake_without_ringing,    // the futex word does not change
  count
};
const char* name_of(SleepMutation mutation);

class SleepModel {
 public:
  static constexpr int kWaiters = 3;
  struct State {
    uint8_t publisher, value, visible;  // its step; counter as stored and as peers see it
    uint8_t waking;                     // waiter it looks at
    uint8_t pc[kWaiters];
    uint8_t blocked[kWaiters];  // as stored
    uint8_t blocked_visible[kWaiters];
    uint8_t bell[kWaiters];
    uint8_t seen[kWaiters];
    uint8_t asleep[kWaiters];
  };

  SleepModel(int waiters, int values, SleepMutation mutation = SleepMutation::none)
      : waiters_(waiters), values_(values), mutation_(mutation) {}

  State initial() const { return {}; }
  void next(const State& state, std::vector<State>& out) const;
  std::string wrong(const State&) const { return ""; }
  bool over(const State& state) const;

 private:
  enum Publish : uint8_t { store, fence, look, ring, wake, published };
  enum Wait : uint8_t { say, settle, read_bell, check, sleep, sleeping, awake };
  bool is(SleepMutation m) const { return mutation_ == m; }
  void publish(const State& state, std::vector<State>& out) const;
  void next_waiter(State& state) const;
  void wait(const State& state, int waiter, std::vector<State>& out) const;

  int waiters_, values_;
  SleepMutation mutation_;
};

}  // namespace tandem::model
