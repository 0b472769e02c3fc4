// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

#pragma GCC visibility push(default)
namespace tandem {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC

// Point in time after which a wait gives up; kNever never does.
struct Deadline {
  static constexpr int64_t kNever = INT64_MAX;
  int64_t at_ns = kNever;
  static Deadline after_seconds(double seconds);  // 0 or less: never
  static Deadline never() { return {}; }
  bool passed() const;
};

int64_t monotonic_ns();

// How a waiter behaves before it sleeps.
enum class WaitPolicy : uint8_t {
  own_core,       // spin up to 5 us, yield up to 50 us, then sleep
  oversubscribed  // yield at once, then sleep
};

// Sleeps on a shared futex (works between threads and between processes) while *word == expected, at most 20 ms.
void futex_sleep(const std::atomic<uint32_t>& word, uint32_t expected);
void futex_wake_all(const std::atomic<uint32_t>& word);

// Calls ready() until it returns true or `deadline` passes; sleeps in slices on `bell`, which wakers bump and wake.
// Returns whether ready() held.
template <class Ready>
bool wait_until(const std::atomic<uint32_t>& bell, WaitPolicy policy, Deadline deadline, Ready&& ready);

void cpu_relax();
void thread_yield();

template <class Ready>
bool wait_until(const std::atomic<uint32_t>& bell, WaitPolicy policy, Deadline deadline, Ready&& ready) {
  constexpr int64_t kSpinNs = 5'000;
  constexpr int64_t kYieldNs = 50'000, kLongestYieldNs = 5'000'000;
  constexpr int64_t kSwitchNs = 1'000;  // a yield to nobody takes less, a switch to another thread and back more
  if (ready()) return true;
  const int64_t start = monotonic_ns();
  const int64_t spin = policy == WaitPolicy::own_core ? kSpinNs : 0;
  int64_t idle = 0;  // a yield that took long let somebody else run: that is no time of a core wasted
  for (int64_t now = start; idle < kYieldNs && now - start < kLongestYieldNs;) {
    if (now - start < spin) {
      cpu_relax();
    } else {
      thread_yield();
    }
    if (ready()) return true;
    const int64_t before = now;
    now = monotonic_ns();
    if (policy == WaitPolicy::own_core || now - before < kSwitchNs) idle += now - before;
  }
  while (!deadline.passed()) {
    const uint32_t seen = bell.load(std::memory_order_acquire);
    if (ready()) return true;
    futex_sleep(bell, seen);
  }
  return ready();
}

}  // namespace tandem
#pragma GCC visibility pop
