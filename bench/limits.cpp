// SPDX-License-Identifier: Apache-2.0
#include "bench/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "tandem/exec/team.h"
#include "tandem/kernels/table.h"

namespace tandem::bench {

namespace base {
extern const LimitLoops loops;
}
namespace avx2 {
extern const LimitLoops loops;
}
namespace avx512 {
extern const LimitLoops loops;
}
namespace avx512_vnni {
extern const LimitLoops loops;
}

namespace {

std::vector<const LimitLoops*> runnable() {
  std::vector<const LimitLoops*> list;
#if defined(__x86_64__)
  if (find_table("avx512") != nullptr) {
    if (__builtin_cpu_supports("avx512vnni")) list.push_back(&avx512_vnni::loops);
    list.push_back(&avx512::loops);
  }
  if (find_table("avx2") != nullptr) list.push_back(&avx2::loops);
#endif
  list.push_back(&base::loops);
  return list;
}

// Keeps a result alive without naming it.
template <class T>
void keep(T value) {
  asm volatile("" : : "r"(value) : "memory");
}

double time_of(const std::function<void()>& run, double least_time) {
  run();
  const auto start = std::chrono::steady_clock::now();
  double spent = 0;
  int count = 0;
  for (; spent < least_time; ++count) {
    run();
    spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return spent / count;
}

constexpr int64_t kLine = 64;
constexpr int kCopyForms = 3;
constexpr const char* kCopyNames[kCopyForms] = {"plain", "streaming stores", "memcpy"};

}  // namespace

std::span<const LimitLoops* const> limit_loops() {
  static const std::vector<const LimitLoops*> list = runnable();
  return list;
}

const LimitLoops& loops_of_table(std::string_view table) {
  for (const LimitLoops* loops : limit_loops()) {
    if (loops->name == table) return *loops;
  }
  return *limit_loops().back();
}

const LimitLoops& float_loops_of_table(std::string_view table) {
  const LimitLoops* chosen = &loops_of_table(table);
  for (const LimitLoops* loops : limit_loops()) {
    if (loops->fma_operations == chosen->fma_operations) chosen = loops;  // the oldest set of that width
  }
  return *chosen;
}

std::string ReadForm::name() const { return fmt::format("{}, {}", loops->name, loops->read_pattern_name(pattern)); }

LimitMaker::LimitMaker(Lane& lane, int threads, size_t pool_bytes) : lane_(lane), threads_(threads) {
  constexpr size_t kBlock = size_t{16} << 20;
  pool_ = std::make_shared<Pool>(nullptr, std::min(kBlock, pool_bytes / 2), pool_bytes);
  choose_read();
  choose_copy();
}

void LimitMaker::choose_read() {
  ReadForm best;
  for (int round = 0; round < 3; ++round) {
    for (const LimitLoops* loops : limit_loops()) {
      for (int pattern = 0; pattern < loops->read_patterns; ++pattern) {
        read_form_ = ReadForm{loops, pattern, 0};
        const LimitTurn turn = read(*pool_);
        read_form_.bytes_per_second = turn.amount / time_of(turn.run, 0.006);
        if (read_form_.bytes_per_second > best.bytes_per_second) best = read_form_;
      }
    }
  }
  read_form_ = best;
}

void LimitMaker::choose_copy() {
  double best = 0;
  int chosen = 0;
  for (int round = 0; round < 3; ++round) {
    for (int form = 0; form < kCopyForms; ++form) {
      copy_ = form;
      const LimitTurn turn = copy(2 * pool_->block_bytes());
      const double rate = turn.amount / time_of(turn.run, 0.02);
      if (rate > best) best = rate, chosen = form;
    }
  }
  copy_ = chosen;
  copy_form_ = kCopyNames[chosen];
}

LimitTurn LimitMaker::read(Pool& pool) {
  const ReadForm form = read_form_;
  const auto run = [this, form, &pool] {
    const uint8_t* block = pool.next();
    lane_.team->parallel_for(static_cast<int64_t>(pool.block_bytes()) / kLine, 1, [&](int64_t begin, int64_t end) {
      keep(form.loops->read(block + begin * kLine, static_cast<size_t>((end - begin) * kLine), form.pattern));
    });
  };
  return {"read", static_cast<double>(pool.block_bytes()), run, {}};
}

void LimitMaker::copy_once(uint8_t* to, const uint8_t* from, size_t bytes, int form) {
  const LimitLoops& loops = *limit_loops().front();
  lane_.team->parallel_for(static_cast<int64_t>(bytes) / kLine, 1, [&](int64_t begin, int64_t end) {
    const auto count = static_cast<size_t>((end - begin) * kLine);
    if (form == 2) {
      std::memcpy(to + begin * kLine, from + begin * kLine, count);
    } else {
      loops.copy(to + begin * kLine, from + begin * kLine, count, form == 0 ? CopyForm::plain : CopyForm::streaming);
    }
  });
}

LimitTurn LimitMaker::copy(size_t bytes) {
  const size_t half = std::min(std::max<size_t>(bytes / 2 / kLine, 1) * kLine, pool_->block_bytes());
  const auto run = [this, half, form = copy_] {
    const uint8_t* from = pool_->next();
    copy_once(pool_->next(), from, half, form);
  };
  return {"copy", 2 * static_cast<double>(half), run, {}};
}

LimitTurn LimitMaker::copy_in_cache(size_t bytes) {
  const size_t half = std::max<size_t>(bytes / 2 / kLine, 1) * kLine;
  auto block = std::make_shared<Pool>(nullptr, 2 * half, 4 * half);
  uint8_t* from = block->next();
  const auto run = [this, block, from, half] { copy_once(from + half, from, half, 0); };
  return {"cache copy", 2 * static_cast<double>(half), run, {}};
}

namespace {

constexpr int64_t kSteps = 20000;  // some 50 us

template <class Loop>
LimitTurn register_limit(const char* kind, const LimitLoops& loops, Loop loop, int operations, Lane& lane, int threads) {
  const auto run = [loop, &lane, threads] {
    lane.team->parallel_for(threads, 1, [loop](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) keep(static_cast<int64_t>(loop(kSteps)));
    });
  };
  return {fmt::format("{} {}", kind, loops.name), static_cast<double>(kSteps) * operations * threads, run, {}};
}

}  // namespace

LimitTurn LimitMaker::fma(const LimitLoops& loops) {
  return register_limit("fma", loops, loops.fma, loops.fma_operations, lane_, threads_);
}
LimitTurn LimitMaker::madd(const LimitLoops& loops) {
  return register_limit("madd", loops, loops.madd, loops.madd_operations, lane_, threads_);
}
LimitTurn LimitMaker::dot(const LimitLoops& loops) {
  return register_limit("dot", loops, loops.dot, loops.dot_operations, lane_, threads_);
}

}  // namespace tandem::bench
