// SPDX-License-Identifier: Apache-2.0
// Ranks of several hosts on one machine: TANDEM_HOST_ID says who lives where, UCX talks over the loopback device.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iostream>

#include "far_launch_test.h"

namespace tandem::test {
namespace {

class Layouts : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Hosts, Layouts,
                         testing::Values("AB", "AAB", "ABA", "ABCD", "AABB", "AABBCC", "ABABB", "AAABBCC"));

// Every byte of every case is the same as on one host.
TEST_P(Layouts, CollectivesAreRight) {
  if (TANDEM_UCX == 0) GTEST_SKIP() << "built without UCX (libucx-dev)";
  auto ranks = launch_on(GetParam(), "collectives", tcp_address());
  expect_all_ok(ranks, GetParam());
}

TEST(OneHost, MeetsOverTcpToo) {
  auto ranks = launch_on("AAA", "collectives", tcp_address());
  expect_all_ok(ranks);
}

TEST_F(Hosts, MessagesArrive) {
  for (const char* hosts : {"AB", "AABB", "ABC"}) {
    auto ranks = launch_on(hosts, "messages", tcp_address());
    expect_all_ok(ranks, hosts);
  }
}

TEST_F(Hosts, AMismatchHasTheSameWordsEverywhere) {
  auto ranks = launch_on("AAB", "mismatch", tcp_address());
  for (auto& rank : ranks) {
    expect_part(rank.line(), "mismatch: rank 1 called all_gather count=9 dtype=i32, rank 0 called all_gather count=8");
  }
}

TEST_F(Hosts, ADeadRankIsNamedByAll) {
  double slowest = 0;
  for (const char* operation : {"all_reduce", "broadcast", "ring"}) {
    for (const size_t victim : {0u, 1u, 3u}) {
      auto ranks = launch_on("AABB", std::string("loop ") + operation, tcp_address());
      expect_running(ranks);
      usleep(20'000);
      const int64_t killed = monotonic_ns();
      ranks[victim].signal(SIGKILL);
      slowest = std::max(slowest, expect_named(ranks, victim, killed, "died"));
    }
  }
  EXPECT_LT(slowest, 250 * kSlower);
  std::cout << "9 kills between two hosts: the slowest survivor named the dead rank after " << slowest << " ms\n";
}

TEST_F(Hosts, DeathAtEveryStepIsNamed) {
  for (const char* step : {"begin", "ready", "await", "end"}) {
    const std::string fault = std::string("kill:rank=2:step=") + step + ":count=3";
    auto ranks = launch_on("AABB", "loop all_reduce", tcp_address(), {{"TANDEM_FAULT", fault}});
    for (const size_t rank : {0u, 1u, 3u}) {
      std::string line = ranks[rank].line();
      if (line == "running") line = ranks[rank].line();
      expect_part(line, "rank 2 (process ");
    }
    EXPECT_TRUE(WIFSIGNALED(ranks[2].wait())) << fault;
  }
}

TEST_F(Hosts, AStoppedRankIsNamed) {
  // Inside an operator: between two calls a rank may take its time.
  auto ranks =
      launch_on("ABB", "loop all_reduce", tcp_address(),
                {{"TANDEM_STALL_S", kSlower > 1 ? "0.2" : "1"}, {"TANDEM_FAULT", "stop:rank=1:step=await:count=50"}});
  expect_running(ranks);
  for (const size_t rank : {0u, 2u}) expect_part(ranks[rank].line(), "rank 1 made no progress");
}

TEST_F(Hosts, TimeBetweenCallsIsNoStall) {
  auto ranks = launch_on("AB", "idle", tcp_address(), {{"TANDEM_STALL_S", kSlower > 1 ? "0.1" : "1"}});
  expect_all_ok(ranks);
}

TEST_F(Hosts, ARankThatLeavesIsNamed) {
  auto ranks = launch_on("AAB", "leave", tcp_address());
  for (const size_t rank : {0u, 1u}) expect_part(ranks[rank].line(), "rank 2 left the communicator");
  EXPECT_EQ(ranks[2].line(), "ok");
}

TEST_F(Hosts, WhatARankSentBeforeItWentArrives) {
  auto ranks = launch_on("ABBC", "give_and_go", tcp_address());
  expect_all_ok(ranks);
}

TEST_F(Hosts, AnAbortIsEverybodysError) {
  auto ranks = launch_on("AAB", "abort", tcp_address());
  for (const size_t rank : {0u, 2u}) expect_part(ranks[rank].line(), "rank 1 aborted: no scratch");
}

TEST_F(Hosts, GroupsAreSplitOff) {
  for (const char* hosts : {"AABB", "ABBA", "AABBC"}) {
    auto ranks = launch_on(hosts, "split", tcp_address());
    expect_all_ok(ranks, hosts);
  }
}

TEST_F(Hosts, AForkedChildDoesNoHarm) {
  auto ranks = launch_on("AB", "fork", tcp_address());
  expect_all_ok(ranks);
}

TEST_F(Hosts, MeetAgainAndAgainWithoutGrowth) {
  auto ranks = launch_on("AAB", "reconnect", tcp_address());
  expect_all_ok(ranks);
}

TEST(WithoutUcx, RanksOfSeveralHostsAreToldWhatIsMissing) {
  if (TANDEM_UCX != 0) GTEST_SKIP() << "built with UCX";
  auto ranks = launch_on("AB", "connect", tcp_address());
  for (auto& rank : ranks) expect_part(rank.line(), "built without UCX");
}

}  // namespace
}  // namespace tandem::test
