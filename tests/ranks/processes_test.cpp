// SPDX-License-Identifier: Apache-2.0
// Ranks as processes: every test starts this program again, once a rank.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "collective_run.h"
#include "launch.h"
#include "roles.h"
#include "tandem/exec/wait.h"

namespace tandem::test {
namespace {

#ifdef TANDEM_SANITIZED
constexpr double kSlower = 10;
#else
constexpr double kSlower = 1;
#endif

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in '" << text << "'";
}

void expect_all_ok(std::vector<RankProcess>& ranks) {
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    EXPECT_EQ(ranks[rank].line(), "ok") << "rank " << rank;
    EXPECT_EQ(ranks[rank].wait(), 0) << "rank " << rank;
  }
}

struct Report {
  int64_t at_ns = 0;
  std::string text;
};

Report report_of(RankProcess& rank) {
  std::string line = rank.line();
  if (line == "running") line = rank.line();
  char* end = nullptr;
  Report report{std::strtoll(line.c_str(), &end, 10), {}};
  report.text = end;
  EXPECT_TRUE(WIFEXITED(rank.wait()));
  return report;
}

void expect_running(std::vector<RankProcess>& ranks) {
  for (auto& rank : ranks) ASSERT_EQ(rank.line(), "running");
}

bool combines() { return runnable({.op = "all_reduce"}); }

class Processes : public testing::TestWithParam<int> {};

TEST_P(Processes, ExchangeThroughWindows) {
  auto ranks = launch("exchange", GetParam(), new_address());
  expect_all_ok(ranks);
}
TEST_P(Processes, CollectivesAreRight) {
  auto ranks = launch("collectives", GetParam(), new_address());
  expect_all_ok(ranks);
}
INSTANTIATE_TEST_SUITE_P(Sizes, Processes, testing::Values(1, 2, 3, 4, 5, 7, 8, 12));

// Everybody but `victim` has to name it within 200 ms of `since`; how long the slowest took, in ms.
double expect_named(std::vector<RankProcess>& ranks, size_t victim, int64_t since, const std::string& moment,
                    const std::string& operation = "exchange") {
  double slowest = 0;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    if (rank == victim) continue;
    const Report report = report_of(ranks[rank]);
    expect_part(report.text, "peer_lost: ");
    expect_part(report.text, "rank " + std::to_string(victim) + " (process ");
    expect_part(report.text, operation + ": step ");
    const double milliseconds = static_cast<double>(report.at_ns - since) * 1e-6;
    EXPECT_LT(milliseconds, 200 * kSlower) << "rank " << rank << moment;
    slowest = std::max(slowest, milliseconds);
  }
  return slowest;
}

TEST(Death, KillingOneOfFourAtRandomMomentsIsNoticedByAll) {
  const auto names = shared_memory_names();
  std::mt19937 random(20);
  double slowest = 0;
  for (int round = 0; round < 20; ++round) {
    auto ranks = launch("endless", 4, new_address());
    expect_running(ranks);
    const size_t victim = random() % 4;
    usleep(static_cast<useconds_t>(random() % 30'000));
    const int64_t killed = monotonic_ns();
    ranks[victim].signal(SIGKILL);
    slowest = std::max(slowest, expect_named(ranks, victim, killed, ", round " + std::to_string(round)));
    EXPECT_TRUE(WIFSIGNALED(ranks[victim].wait()));
  }
  EXPECT_EQ(shared_memory_names(), names);
  std::cout << "20 kills: the slowest survivor named the dead rank after " << slowest << " ms\n";
}

TEST(Death, IsNoticedAtEveryStep) {
  for (const char* step : {"begin", "ready", "await", "free", "end"}) {
    for (const size_t victim : {0u, 2u}) {
      const std::string fault = "kill:rank=" + std::to_string(victim) + ":step=" + step + ":count=8";
      auto ranks = launch("endless", 3, new_address(), {{"TANDEM_FAULT", fault}});
      expect_named(ranks, victim, monotonic_ns() + 20'000'000'000, fault);
      EXPECT_TRUE(WIFSIGNALED(ranks[victim].wait())) << fault;
    }
  }
}

// Collectives in several turns: at every kind of step, in the first round and in the middle of a later one.
TEST(Death, EndsEveryCollectiveAtEveryStep) {
  size_t kills = 0;
  for (const char* op : {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all", "ring"}) {
    if (std::string(op).find("reduce") != std::string::npos && !combines()) continue;
    const bool ring = std::string(op) == "ring";
    const std::vector<std::string> steps = ring ? std::vector<std::string>{"sent", "taken", "await", "end"}
                                                : std::vector<std::string>{"begin", "ready", "await", "end"};
    for (const std::string& step : steps) {
      for (const size_t victim : {0u, 1u, 2u}) {
        const std::string fault =
            "kill:rank=" + std::to_string(victim) + ":step=" + step + ":count=" + std::to_string(1 + kills % 7);
        auto ranks = launch(std::string("loop ") + op, 3, new_address(), {{"TANDEM_FAULT", fault}});
        expect_named(ranks, victim, monotonic_ns() + 20'000'000'000, std::string(op) + " " + fault,
                     ring ? "batch_send_recv" : op);
        EXPECT_TRUE(WIFSIGNALED(ranks[victim].wait())) << op << " " << fault;
        ++kills;
      }
    }
  }
  std::cout << kills << " kills\n";
}

TEST(Death, OfACollectiveAtRandomMoments) {
  std::mt19937 random(7);
  double slowest = 0;
  for (const char* op : {"all_gather", "broadcast", "all_to_all", "ring"}) {
    for (int round = 0; round < 5; ++round) {
      auto ranks = launch(std::string("loop ") + op, 4, new_address());
      expect_running(ranks);
      const size_t victim = random() % 4;
      usleep(static_cast<useconds_t>(random() % 20'000));
      const int64_t killed = monotonic_ns();
      ranks[victim].signal(SIGKILL);
      slowest = std::max(slowest,
                         expect_named(ranks, victim, killed, op, op == std::string("ring") ? "batch_send_recv" : op));
      EXPECT_TRUE(WIFSIGNALED(ranks[victim].wait()));
    }
  }
  std::cout << "20 kills: the slowest survivor named the dead rank after " << slowest << " ms\n";
}

TEST(Death, TerminationOfOneEndsTheOthers) {
  auto ranks = launch("endless", 2, new_address());
  expect_running(ranks);
  const int64_t killed = monotonic_ns();
  ranks[0].signal(SIGTERM);
  expect_named(ranks, 0, killed, "");
}

TEST(Death, AnInheritedSocketDoesNotHideIt) {
  auto ranks = launch("orphan", 3, new_address());
  const int64_t ended = std::atoll(ranks[1].line().c_str());
  expect_named(ranks, 1, ended, "");
}

TEST(Death, LeavingAndVanishingAreToldApart) {
  auto leaving = launch("leave", 3, new_address());
  EXPECT_EQ(leaving[2].line(), "ok");
  for (size_t rank : {0u, 1u}) expect_part(report_of(leaving[rank]).text, "step begin: rank 2 left the communicator");
  auto vanishing = launch("vanish", 3, new_address());
  for (size_t rank : {0u, 1u}) expect_part(report_of(vanishing[rank]).text, "rank 2 (process ");
}

TEST(Stall, AStoppedRankTimesOutAndIsNamed) {
  for (const char* step : {"begin", "ready", "free"}) {
    const std::string fault = std::string("stop:rank=1:step=") + step + ":count=5";
    auto ranks = launch("endless", 4, new_address(), {{"TANDEM_FAULT", fault}, {"TANDEM_STALL_S", "0.3"}});
    for (const size_t rank : {0u, 2u, 3u}) {
      const std::string text = report_of(ranks[rank]).text;
      expect_part(text, "timed_out: exchange: step ");
      expect_part(text, "rank 1 made no progress for ");
    }
  }
}

TEST(Stall, AStoppedRankEndsMessagesToo) {
  auto ranks = launch("loop ring", 3, new_address(),
                      {{"TANDEM_FAULT", "stop:rank=1:step=taken:count=5"}, {"TANDEM_STALL_S", "0.3"}});
  for (const size_t rank : {0u, 2u}) {
    const std::string text = report_of(ranks[rank]).text;
    expect_part(text, "timed_out: batch_send_recv: step ");
    expect_part(text, "rank 1 made no progress for ");
  }
}

TEST(Stall, ARankStoppedBetweenOperatorsHasNotCalled) {
  auto ranks =
      launch("endless", 3, new_address(),
             {{"TANDEM_FAULT", "stop:rank=0:step=end:count=2"}, {"HCCL_EXEC_TIMEOUT", "1"}, {"TANDEM_STALL_S", "1"}});
  // The fault sits just before the end of the operator, so either limit may be the one.
  for (const size_t rank : {1u, 2u}) expect_part(report_of(ranks[rank]).text, "rank 0 ");
}

TEST(Stall, AShortStopIsForgiven) {
  auto ranks = launch("endless", 2, new_address(), {{"TANDEM_STALL_S", "20"}});
  expect_running(ranks);
  ranks[1].signal(SIGSTOP);
  usleep(300'000);
  ranks[1].signal(SIGCONT);
  usleep(100'000);
  const int64_t killed = monotonic_ns();
  ranks[1].signal(SIGKILL);
  expect_named(ranks, 1, killed, "");
}

TEST(Errors, MismatchIsWordedAlikeOnAllRanks) {
  auto ranks = launch("mismatch", 4, new_address());
  for (auto& rank : ranks) {
    expect_part(report_of(rank).text,
                "mismatch: rank 2 called exchange rows=16 n=32, rank 0 called exchange rows=8 n=32");
  }
}

TEST(Errors, AbortOfOneReachesAll) {
  auto ranks = launch("abort", 3, new_address());
  expect_part(report_of(ranks[1]).text, "out_of_memory: ");
  for (const size_t rank : {0u, 2u}) expect_part(report_of(ranks[rank]).text, "rank 1 aborted: no scratch");
}

TEST(Fork, TheChildIsOutAndTheParentGoesOn) {
  auto ranks = launch("fork", 2, new_address());
  expect_all_ok(ranks);
}

TEST(Leaks, ConnectingAThousandTimesLeavesNothing) {
  auto ranks = launch("reconnect", 2, new_address());
  for (auto& rank : ranks) {
    EXPECT_EQ(rank.line(), "descriptors 0 regions 0");
    EXPECT_EQ(rank.wait(), 0);
  }
}

}  // namespace
}  // namespace tandem::test

int main(int count, char** arguments) {
  if (count == 6 && std::string(arguments[1]) == "--role") {
    return tandem::test::run_role(arguments[2], std::atoi(arguments[3]), std::atoi(arguments[4]), arguments[5]);
  }
  testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
