// SPDX-License-Identifier: Apache-2.0
// After a failure: start again in the same process, or go on with the survivors.
#include "recovery.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "forked_job.h"
#include "operators.h"

namespace tandem::test {
namespace {

constexpr double kPatience = 60;

TEST(Recovery, AbortAndStartAgain) {
  abort_and_start_again_as_threads(500);
  abort_and_start_again_as_processes(250);
}

// Until the error, then with whoever is left, then until `again` more ranks died.
Status work_and_shrink(Communicator& comm, int times) {
  std::shared_ptr<Communicator> held;
  Communicator* current = &comm;
  for (int i = 0; i < times; ++i) {
    const auto round = make_round("all_gather", *current);
    Status status;
    while (status) status = round();
    auto smaller = current->shrink(20);
    if (!smaller) return fail(smaller.error());
    if ((*smaller)->size() >= current->size()) return fail(ErrorCode::internal, "nobody is missing");
    held = std::move(*smaller);
    current = held.get();
  }
  for (const std::string& op : operator_names()) {
    const auto round = make_round(op, *current);
    if (Status s = round(); !s) return s;
  }
  return current->size() == comm.size() - times ? Status{} : fail(ErrorCode::internal, current->describe());
}

TEST(Recovery, SurvivorsOfADeathGoOnInASmallerCommunicator) {
  for (int size = 2; size <= 5; ++size) {
    for (int victim = 0; victim < size; ++victim) {
      const auto fault = [&](int) -> ForkedJob::Environment {
        return {{"TANDEM_FAULT", fmt::format("kill:rank={},step=9", victim)}};
      };
      // Only the first communicator has the fault.
      const auto body = [](Communicator& comm) {
        unsetenv("TANDEM_FAULT");
        return work_and_shrink(comm, 1);
      };
      ForkedJob job(size, body, fault);
      ASSERT_TRUE(job.finish(kPatience)) << victim << " of " << size;
      for (int rank = 0; rank < size; ++rank) {
        if (rank == victim) continue;
        EXPECT_TRUE(job.report(rank).ok) << victim << " of " << size << ", rank " << rank << ": "
                                         << job.report(rank).text;
        EXPECT_EQ(job.report(rank).descriptors, 0);
        EXPECT_EQ(job.report(rank).regions, 0);
      }
    }
  }
}

TEST(Recovery, ShrinksTwice) {
  ForkedJob job(
      4, [](Communicator& comm) { return work_and_shrink(comm, 2); }, [](int) { return ForkedJob::Environment{}; });
  ASSERT_TRUE(job.await_connected());
  job.signal(0, SIGKILL);
  usleep(400'000);
  job.signal(3, SIGKILL);
  ASSERT_TRUE(job.finish(kPatience));
  for (const int rank : {1, 2}) EXPECT_TRUE(job.report(rank).ok) << job.report(rank).text;
}

TEST(Recovery, WhoHungIsLeftOut) {
  const auto body = [](Communicator& comm) {
    unsetenv("TANDEM_FAULT");
    return work_and_shrink(comm, 1);
  };
  ForkedJob job(3, body, [](int) -> ForkedJob::Environment {
    return {{"TANDEM_FAULT", "stop:rank=0,step=9"}, {"TANDEM_STALL_S", "0.1"}};
  });
  ASSERT_TRUE(job.finish(kPatience, 0));
  for (const int rank : {1, 2}) EXPECT_TRUE(job.report(rank).ok) << job.report(rank).text;
}

TEST(Recovery, ThreadsAreToldToStartAgain) {
  auto ranks = Communicator::local(2, {}, {}, 4096);
  ASSERT_TRUE(ranks);
  const auto smaller = (*ranks)[0]->shrink();
  ASSERT_FALSE(smaller);
  EXPECT_EQ(smaller.error().code, ErrorCode::unsupported);
}

}  // namespace
}  // namespace tandem::test
