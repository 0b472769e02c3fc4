// SPDX-License-Identifier: Apache-2.0
// The protocol of docs/protocol.md, explored whole at small sizes; every rule that is left out is found.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "claim_model.h"
#include "explorer.h"
#include "sleep_model.h"
#include "windows_model.h"

namespace tandem::model {
namespace {

struct Scenario {
  const char* name;
  std::vector<Operator> operators;
};

// Operators that follow each other in the ways that differ.
std::vector<Scenario> scenarios() {
  return {{"rows, rows", {{Kind::rows, 3}, {Kind::rows, 2}}},
          {"one shot, rows, one shot", {{Kind::one_shot, 1}, {Kind::rows, 2}, {Kind::one_shot, 3}}},
          {"one slot: one shot, rows", {{Kind::one_shot, 3, 0, 1}, {Kind::rows, 2, 0, 1}}},
          {"turns, turns, turns", {{Kind::everyone, 3}, {Kind::everyone, 1}, {Kind::everyone, 2}}},
          {"from root, to root, turns", {{Kind::from_root, 3, 0}, {Kind::to_root, 3, 1}, {Kind::everyone, 1}}},
          {"turns, rows, from root, turns",
           {{Kind::everyone, 2}, {Kind::rows, 2}, {Kind::from_root, 2, 1}, {Kind::everyone, 1}}},
          {"uneven, turns", {{Kind::uneven, 3}, {Kind::everyone, 2}}}};
}

// Four ranks multiply the states: they run the first operators of a scenario.
std::vector<Operator> cut(std::vector<Operator> operators, int ranks) {
  if (ranks == 4) operators.resize(2);
  return operators;
}

TEST(Model, WindowsAreNeverReadWrongAndNobodyStands) {
  size_t states = 0;
  for (const Scenario& scenario : scenarios()) {
    for (int ranks = 2; ranks <= 4; ++ranks) {
      const int deaths = ranks == 2 ? 2 : 1;
      const Exploration found = explore(WindowsModel(ranks, cut(scenario.operators, ranks), deaths));
      EXPECT_EQ(found.wrong, "") << scenario.name << ", " << ranks << " ranks, after " << found.depth << " steps";
      EXPECT_TRUE(found.complete) << scenario.name << ", " << ranks << " ranks, " << found.states << " states";
      std::cout << scenario.name << ", " << ranks << " ranks: " << found.states << " states\n";
      states += found.states;
    }
  }
  std::cout << states << " states in all, death at each of them\n";
}

TEST(Model, EveryRuleOfTheWindowsIsNeeded) {
  for (int m = 1; m < static_cast<int>(Mutation::count); ++m) {
    const auto mutation = static_cast<Mutation>(m);
    std::string found;
    for (const Scenario& scenario : scenarios()) {
      for (int ranks = 2; ranks <= 3 && found.empty(); ++ranks) {
        const Exploration result = explore(WindowsModel(ranks, scenario.operators, 0, mutation));
        if (!result.wrong.empty()) found = std::string(scenario.name) + ": " + result.wrong;
      }
    }
    EXPECT_NE(found, "") << name_of(mutation);
    std::cout << name_of(mutation) << ": " << found << "\n";
  }
}

TEST(Model, TheRootCauseIsOneAndWholeWhoeverDies) {
  size_t states = 0;
  for (int ranks = 2; ranks <= 4; ++ranks) {
    for (int deaths = 0; deaths < ranks; ++deaths) {
      const Exploration found = explore(ClaimModel(ranks, deaths));
      EXPECT_EQ(found.wrong, "") << ranks << " ranks, " << deaths << " deaths, after " << found.depth << " steps";
      EXPECT_TRUE(found.complete);
      states += found.states;
    }
  }
  std::cout << states << " states\n";
}

TEST(Model, EveryRuleOfTheClaimIsNeeded) {
  for (int m = 1; m < static_cast<int>(ClaimMutation::count); ++m) {
    const auto mutation = static_cast<ClaimMutation>(m);
    const Exploration found = explore(ClaimModel(3, 2, mutation));
    EXPECT_NE(found.wrong, "") << name_of(mutation);
    std::cout << name_of(mutation) << ": " << found.wrong << " after " << found.depth << " steps\n";
  }
}

TEST(Model, NoWakeUpIsLost) {
  for (int waiters = 1; waiters <= SleepModel::kWaiters; ++waiters) {
    const Exploration found = explore(SleepModel(waiters, 3));
    EXPECT_EQ(found.wrong, "") << waiters << " waiters, after " << found.depth << " steps";
    EXPECT_TRUE(found.complete);
    std::cout << waiters << " waiters: " << found.states << " states\n";
  }
}

TEST(Model, EveryRuleOfSleepIsNeeded) {
  for (int m = 1; m < static_cast<int>(SleepMutation::count); ++m) {
    const auto mutation = static_cast<SleepMutation>(m);
    const Exploration found = explore(SleepModel(2, 2, mutation));
    EXPECT_NE(found.wrong, "") << name_of(mutation);
    std::cout << name_of(mutation) << ": " << found.wrong << " after " << found.depth << " steps\n";
  }
}

}  // namespace
}  // namespace tandem::model
