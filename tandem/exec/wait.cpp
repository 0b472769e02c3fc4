// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/wait.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>

namespace tandem {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr long kSliceNs = 20'000'000;  // a sleeper looks at the abort words at least this often
constexpr double kLongestSeconds = 1e9;

// Never FUTEX_PRIVATE: the word may lie in memory that several processes map.
uint32_t* futex_word(const std::atomic<uint32_t>& word) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free);
  return reinterpret_cast<uint32_t*>(const_cast<std::atomic<uint32_t>*>(&word));
}

}  // namespace

int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * kSecondNs + now.tv_nsec;
}

Deadline Deadline::after_seconds(double seconds) {
  if (!(seconds > 0)) return never();
  const double bounded = std::min(seconds, kLongestSeconds);
  return {monotonic_ns() + static_cast<int64_t>(bounded * static_cast<double>(kSecondNs))};
}

bool Deadline::passed() const { return at_ns != kNever && monotonic_ns() >= at_ns; }

void futex_sleep(const std::atomic<uint32_t>& word, uint32_t expected) {
  // Any return is fine (woken, word changed, EINTR, time out): every caller re-checks its condition in a loop.
  const timespec slice{0, kSliceNs};
  const int saved = errno;
  syscall(SYS_futex, futex_word(word), FUTEX_WAIT, expected, &slice, nullptr, 0);
  errno = saved;
}

void futex_wake_all(const std::atomic<uint32_t>& word) {
  const int saved = errno;
  syscall(SYS_futex, futex_word(word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  errno = saved;
}

void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

void thread_yield() { sched_yield(); }

}  // namespace tandem
