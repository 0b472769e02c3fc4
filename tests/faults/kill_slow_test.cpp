// SPDX-License-Identifier: Apache-2.0
// Every step of every rank of every operator, and random times.
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "kill_sweep.h"
#include "operators.h"

namespace tandem::test {
namespace {

constexpr size_t kRandom = 600;
constexpr size_t kTogether = 2000;

TEST(KillSlow, EveryStepOfEveryRankAndRandomTimes) {
  const auto steps = all_steps();
  std::map<std::string, size_t> by_operator;
  for (const KillPoint& point : steps) ++by_operator[point.op];
  EXPECT_EQ(by_operator.size(), operator_names().size());
  for (const auto& [op, count] : by_operator) std::cout << op << " " << count << " steps" << std::endl;
  const KillStatistics at_steps = run_points(steps);
  std::cout << "at every step: " << at_steps.text() << std::flush;
  const KillStatistics at_random = run_points(random_times(kRandom, 20));
  std::cout << "at random times: " << at_random.text();
  EXPECT_GE(at_steps.points + at_random.points, kTogether);
  expect_all_named(at_steps);
  expect_all_named(at_random);
}

}  // namespace
}  // namespace tandem::test
