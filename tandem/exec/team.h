// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <type_traits>

#pragma GCC visibility push(default)
namespace tandem {

// Sets round-to-nearest and clears FTZ/DAZ (FPCR.FZ, FZ16, DN on ARM) of the calling thread, so that what an
// application did to its own threads never changes a bit. Every thread that runs kernels calls it once at start.
void set_kernel_float_mode();

// Items that make a part worth waking a worker for (a few microseconds): `work` counts the multiply-adds of one item.
[[gnu::always_inline]] constexpr int64_t grain_of(int64_t work) {
  constexpr int64_t kLeastPart = 1 << 18;
  return work >= kLeastPart ? 1 : (kLeastPart + work) / (work > 0 ? work : 1);
}

// Persistent workers of one device. The calling thread takes part; no allocation and no lock held while running.
class ThreadTeam {
 public:
  using Body = void (*)(void* context, int64_t begin, int64_t end);

  // `threads` counts the caller, so 1 starts none. `first_core` < 0 leaves threads unpinned.
  explicit ThreadTeam(int threads, int first_core = -1);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return threads_; }
  // Confines the calling thread to the team's cores; an unpinned team's are all of the process.
  void pin_caller() const;

  // Splits [0, count) into at most size() contiguous parts of whole multiples of `grain` and runs body on each; returns
  // when all are done. If another stream of the device holds the workers, the caller runs everything itself.
  void run(int64_t count, int64_t grain, Body body, void* context);

  template <class F>
  void parallel_for(int64_t count, int64_t grain, F&& body) {
    using Plain = std::remove_reference_t<F>;
    run(count, grain,
        [](void* context, int64_t begin, int64_t end) { (*static_cast<Plain*>(context))(begin, end); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  struct Shared;
  bool start_worker(int index);
  int threads_;
  int first_core_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace tandem
#pragma GCC visibility pop
