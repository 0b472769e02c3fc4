// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "tandem/base/log.h"
#include "tandem/exec/topology.h"
#include "tandem/exec/wait.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace tandem {

void set_kernel_float_mode() {
#if defined(__x86_64__)
  constexpr unsigned kRoundNearestAllMasked = 0x1f80;  // FTZ, DAZ and the rounding field are zero
  _mm_setcsr(kRoundNearestAllMasked);
#elif defined(__aarch64__)
  const uint64_t round_nearest_no_flush = 0;
  asm volatile("msr fpcr, %0" : : "r"(round_nearest_no_flush));
#endif
}

namespace {

constexpr int kSpins = 2000;  // a few microseconds: kernels of one layer follow each other closely

void pin_thread(int first, int count) {
  const auto& cores = topology().cores;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < count; ++i) {
    CPU_SET(static_cast<size_t>(cores[static_cast<size_t>(first + i) % cores.size()]), &set);
  }
  // Refused by some containers: the thread then simply stays where it is.
  (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

// Negative: all cores of the process, also for a thread that was confined or started from a confined one.
void confine(int first, int count) {
  if (first >= 0) return pin_thread(first, count);
  pin_thread(0, static_cast<int>(topology().cores.size()));
}

}  // namespace

// One job at a time: `epoch` opens it, `remaining` closes it.
struct ThreadTeam::Shared {
  std::atomic<uint32_t> epoch{0};
  std::atomic<int> remaining{0};
  std::atomic<bool> taken{false};
  std::atomic<bool> stop{false};
  Body body = nullptr;
  void* context = nullptr;
  int64_t count = 0;
  int64_t part = 0;
  std::vector<std::thread> workers;

  void run_part(int index) const {
    const int64_t begin = std::min(count, part * index);
    const int64_t end = std::min(count, begin + part);
    if (begin < end) body(context, begin, end);
  }

  void finish_one() {
    if (remaining.fetch_sub(1, std::memory_order_acq_rel) == 1) remaining.notify_one();
  }

  void work(int index) {
    uint32_t seen = 0;
    while (true) {
      for (int spin = 0; spin < kSpins && epoch.load(std::memory_order_acquire) == seen; ++spin) cpu_relax();
      epoch.wait(seen, std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      seen = epoch.load(std::memory_order_acquire);
      run_part(index);
      finish_one();
    }
  }

  void await_workers() {
    int left = remaining.load(std::memory_order_acquire);
    for (int spin = 0; spin < kSpins && left != 0; ++spin) {
      cpu_relax();
      left = remaining.load(std::memory_order_acquire);
    }
    while (left != 0) {
      remaining.wait(left, std::memory_order_acquire);
      left = remaining.load(std::memory_order_acquire);
    }
  }
};

ThreadTeam::ThreadTeam(int threads, int first_core)
    : threads_(std::max(1, threads)), first_core_(first_core), shared_(std::make_unique<Shared>()) {
  shared_->workers.reserve(static_cast<size_t>(threads_) - 1);
  for (int index = 1; index < threads_; ++index) {
    if (start_worker(index)) continue;
    log_warn("exec: {} threads wanted, the system gave {}; the results are the same", threads_, index);
    threads_ = index;
  }
}

bool ThreadTeam::start_worker(int index) {
  const int core = first_core_;
  Shared& shared = *shared_;
  const auto body = [index, core, &shared] {
    set_kernel_float_mode();
    confine(core < 0 ? core : core + index, 1);
    shared.work(index);
  };
  try {
    shared.workers.emplace_back(body);
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

ThreadTeam::~ThreadTeam() {
  shared_->stop.store(true, std::memory_order_release);
  shared_->epoch.fetch_add(1, std::memory_order_release);
  shared_->epoch.notify_all();
  for (auto& worker : shared_->workers) worker.join();
}

void ThreadTeam::pin_caller() const { confine(first_core_, threads_); }

void ThreadTeam::run(int64_t count, int64_t grain, Body body, void* context) {
  if (count <= 0) return;
  const int64_t units = (count + grain - 1) / grain;
  const bool alone = threads_ == 1 || units == 1 || shared_->taken.exchange(true, std::memory_order_acquire);
  if (alone) return body(context, 0, count);
  Shared& job = *shared_;
  job.body = body;
  job.context = context;
  job.count = count;
  job.part = (units + threads_ - 1) / threads_ * grain;
  job.remaining.store(threads_ - 1, std::memory_order_relaxed);
  job.epoch.fetch_add(1, std::memory_order_release);
  job.epoch.notify_all();
  job.run_part(0);
  job.await_workers();
  job.taken.store(false, std::memory_order_release);
}

}  // namespace tandem
