// SPDX-License-Identifier: Apache-2.0
#include "sleep_model.h"

namespace tandem::model {

const char* name_of(SleepMutation mutation) {
  constexpr const char* kNames[] = {"none",
                                    "no_fence_after_store",
                                    "no_fence_after_blocked",
                                    "blocked_said_too_late",
                                    "bell_read_too_late",
                                    "wake_without_ringing"};
  return kNames[static_cast<int>(mutation)];
}

void SleepModel::next_waiter(State& state) const {
  state.publisher = look;
  if (++state.waking < waiters_) return;
  state.waking = 0;
  state.publisher = state.value == values_ ? published : store;
}

void SleepModel::publish(const State& state, std::vector<State>& out) const {
  State after = state;
  const int w = state.waking;
  switch (state.publisher) {
    case store:
      ++after.value;
      after.publisher = is(SleepMutation::no_fence_after_store) ? look : fence;
      break;
    case fence:
      if (state.visible != state.value) return;  // the store buffer empties first
      after.publisher = look;
      break;
    case look:
      // Every waiter waits for the last value.
      if (state.blocked_visible[w] != 0 && state.value == values_) {
        after.publisher = ring;
      } else {
        next_waiter(after);
      }
      break;
    case ring:
      if (!is(SleepMutation::wake_without_ringing)) ++after.bell[w];
      after.publisher = wake;
      break;
    case wake:
      after.asleep[w] = 0;
      next_waiter(after);
      break;
    default: return;
  }
  out.push_back(after);
}

// say() blocked, make it visible, then in a loop: read the bell, look at the counter, sleep while the bell is the same.
void SleepModel::wait(const State& state, int waiter, std::vector<State>& out) const {
  State after = state;
  uint8_t& pc = after.pc[waiter];
  const bool late = is(SleepMutation::blocked_said_too_late), bell_late = is(SleepMutation::bell_read_too_late);
  const auto say_blocked = [&] { after.blocked[waiter] = 1; };
  switch (state.pc[waiter]) {
    case say:
      if (!late) say_blocked();
      pc = is(SleepMutation::no_fence_after_blocked) || late ? read_bell : settle;
      break;
    case settle:
      if (state.blocked_visible[waiter] != state.blocked[waiter]) return;
      pc = read_bell;
      break;
    case read_bell:
      if (!bell_late) after.seen[waiter] = state.bell[waiter];
      pc = check;
      break;
    case check:
      pc = state.visible == values_ ? awake : sleep;
      if (late) say_blocked();
      break;
    case sleep:
      if (bell_late) after.seen[waiter] = state.bell[waiter];
      pc = sleeping;
      after.asleep[waiter] = after.seen[waiter] == state.bell[waiter] ? 1 : 0;
      break;
    case sleeping:
      if (state.asleep[waiter] != 0) return;
      pc = read_bell;
      break;
    default: return;
  }
  out.push_back(after);
}

void SleepModel::next(const State& state, std::vector<State>& out) const {
  publish(state, out);
  if (state.visible != state.value) {
    out.push_back(state);
    out.back().visible = state.value;
  }
  for (int waiter = 0; waiter < waiters_; ++waiter) {
    wait(state, waiter, out);
    if (state.blocked_visible[waiter] == state.blocked[waiter]) continue;
    out.push_back(state);
    out.back().blocked_visible[waiter] = state.blocked[waiter];
  }
}

bool SleepModel::over(const State& state) const {
  for (int waiter = 0; waiter < waiters_; ++waiter) {
    if (state.pc[waiter] != awake) return false;
  }
  return state.publisher == published && state.visible == state.value;
}

}  // namespace tandem::model
