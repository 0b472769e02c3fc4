// SPDX-License-Identifier: Apache-2.0
// Every step of every rank of every operator, and random times. Of operators with very many steps (messages: one for
// each part of each) an even choice.
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "kill_sweep.h"
#include "operators.h"

namespace tandem::test {
namespace {

constexpr size_t kRandom = 600;
constexpr size_t kTogether = 2000;
constexpr size_t kMostOfOne = 600;

std::vector<KillPoint> even_choice(const std::vector<KillPoint>& all, const std::map<std::string, size_t>& counts) {
  std::map<std::string, size_t> seen;
  std::vector<KillPoint> chosen;
  for (const KillPoint& point : all) {
    const size_t every = (counts.at(point.op) + kMostOfOne - 1) / kMostOfOne;
    if (seen[point.op]++ % every == 0) chosen.push_back(point);
  }
  return chosen;
}

TEST(KillSlow, EveryStepOfEveryRankAndRandomTimes) {
  const auto steps = all_steps();
  std::map<std::string, size_t> by_operator;
  for (const KillPoint& point : steps) ++by_operator[point.op];
  EXPECT_EQ(by_operator.size(), operator_names().size());
  for (const auto& [op, count] : by_operator) std::cout << op << " " << count << " steps" << std::endl;
  const KillStatistics at_steps = run_points(even_choice(steps, by_operator));
  std::cout << "at every step: " << at_steps.text() << std::flush;
  const KillStatistics at_random = run_points(random_times(kRandom, 20));
  std::cout << "at random times: " << at_random.text();
  EXPECT_GE(at_steps.points + at_random.points, kTogether);
  expect_all_named(at_steps);
  expect_all_named(at_random);
}

}  // namespace
}  // namespace tandem::test
