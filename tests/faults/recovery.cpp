// SPDX-License-Identifier: Apache-2.0
#include "recovery.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <thread>

#include "forked_job.h"
#include "operators.h"
#include "tandem/exec/wait.h"

namespace tandem::test {
namespace {

constexpr size_t kWindow = 16 * 1024;
constexpr long kMostGrowth = 1 << 20;

struct Holdings {
  int descriptors = 0, windows = 0;
  long resident = 0;
};

Holdings holdings() {
  std::ifstream statm("/proc/self/statm");
  long total = 0, resident = 0;
  statm >> total >> resident;
  return {open_descriptors(), mapped_windows(), resident * sysconf(_SC_PAGESIZE)};
}

// "" when nothing grew.
std::string growth(const Holdings& before, const Holdings& after) {
  const long bytes = after.resident - before.resident;
#ifdef TANDEM_SANITIZED
  const bool memory = false;  // freed memory is kept in quarantine
#else
  const bool memory = bytes > kMostGrowth;
#endif
  if (after.descriptors == before.descriptors && after.windows == before.windows && !memory) return "";
  return fmt::format("grew by {} descriptors, {} windows, {} bytes", after.descriptors - before.descriptors,
                     after.windows - before.windows, bytes);
}

// An operator that works, an abort of one rank, and the same words on the others.
Status work_and_abort(Communicator& comm, int aborting) {
  const auto round = make_round("barrier", comm);
  if (Status s = round(); !s) return s;
  if (comm.rank() == aborting) comm.abort({ErrorCode::internal, "on purpose"});
  const Status dead = round();
  const std::string wanted =
      comm.rank() == aborting ? "on purpose" : fmt::format("rank {} aborted: on purpose", aborting);
  if (!dead && dead.error().message.find(wanted) != std::string::npos) return {};
  return fail(ErrorCode::internal, fmt::format("'{}', '{}' wanted", dead ? "" : dead.error().message, wanted));
}

std::string thread_round(int aborting) {
  constexpr int kRanks = 2;
  auto ranks = Communicator::local(kRanks, {}, {}, kWindow);
  if (!ranks) return ranks.error().message;
  std::string results[kRanks];
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      if (Status s = work_and_abort(*(*ranks)[static_cast<size_t>(rank)], aborting); !s)
        results[rank] = s.error().message;
    });
  }
  for (auto& thread : threads) thread.join();
  return results[0] + results[1];
}

Status process_rounds(const Communicator& first, const std::string& address, int rounds) {
  Holdings before;
  for (int i = 0; i < rounds; ++i) {
    if (i == rounds / 5) before = holdings();
    auto comm = Communicator::connect({first.rank(), first.size(), "again", address, first.device(), 20}, kWindow);
    if (!comm) return fail(comm.error());
    if (Status s = work_and_abort(**comm, i % first.size()); !s) return s;
  }
  const Holdings after = holdings();
  const std::string grown = growth(before, after);
  return grown.empty() ? Status{} : fail(ErrorCode::internal, grown);
}

}  // namespace

void abort_and_start_again_as_threads(int rounds) {
  Holdings before;
  for (int i = 0; i < rounds; ++i) {
    if (i == rounds / 5) before = holdings();
    ASSERT_EQ(thread_round(i % 2), "") << "round " << i;
  }
  const Holdings after = holdings();
  EXPECT_EQ(growth(before, after), "");
  std::cout << rounds << " rounds of threads: " << after.descriptors - before.descriptors << " descriptors, "
            << after.windows - before.windows << " mappings, " << (after.resident - before.resident) / 1024
            << " KiB more\n";
}

void abort_and_start_again_as_processes(int rounds) {
  const std::string address = fmt::format("again-{}-{}", getpid(), monotonic_ns());
  ForkedJob job(
      2, [&](Communicator& first) { return process_rounds(first, address, rounds); },
      [](int) { return ForkedJob::Environment{}; });
  ASSERT_TRUE(job.finish(1500));
  for (int rank = 0; rank < 2; ++rank) EXPECT_TRUE(job.report(rank).ok) << job.report(rank).text;
  std::cout << rounds << " rounds of processes\n";
}

}  // namespace tandem::test
