// SPDX-License-Identifier: Apache-2.0
// Death of a rank in every operator: a sample of the sweep in kill_slow_test.cpp.
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "kill_sweep.h"
#include "operators.h"

namespace tandem::test {
namespace {

#ifdef TANDEM_SANITIZED
constexpr size_t kRandom = 30;
constexpr int kMostRanks = 3;
#else
constexpr size_t kRandom = 120;
constexpr int kMostRanks = 5;
#endif

// One step of every rank of every operator; another one for each of them.
std::vector<KillPoint> sample() {
  std::vector<KillPoint> points;
  int64_t next = 0;
  for (const std::string& op : operator_names()) {
    for (int size = 2; size <= kMostRanks; ++size) {
      const auto steps = steps_of(op, size);
      for (int rank = 0; rank < size; ++rank) {
        const int64_t most = steps[static_cast<size_t>(rank)];
        EXPECT_GT(most, 0) << op << " rank " << rank;
        if (most > 0) points.push_back({op, size, rank, 1 + next++ * 5 % most});
      }
    }
  }
  return points;
}

TEST(Kill, ASampleOfStepsOfEveryOperator) {
  const KillStatistics statistics = run_points(sample());
  std::cout << "at steps: " << statistics.text();
  expect_all_named(statistics);
}

TEST(Kill, AtRandomTimes) {
  const KillStatistics statistics = run_points(random_times(kRandom, 4));
  std::cout << "at random times: " << statistics.text();
  expect_all_named(statistics);
}

// The sweep can fail: a fault that never comes.
TEST(Kill, AJobThatDoesNotEndIsFound) {
  const KillStatistics statistics = run_points({{operator_names().back(), 2, 1, 1'000'000'000}}, 0.3);
  EXPECT_EQ(statistics.hangs, 1u);
}

}  // namespace
}  // namespace tandem::test
