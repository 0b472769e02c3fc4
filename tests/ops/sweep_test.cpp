// SPDX-License-Identifier: Apache-2.0
// Random cases of every operator: TANDEM_SWEEP_CASES of each (8; the slow test takes 2000).
#include <gtest/gtest.h>

#include <cstdlib>

#include "tandem/check/maker.h"
#include "tandem/check/operators.h"
#include "tandem/check/pages.h"
#include "tandem/check/sweep.h"

namespace tandem::check {
namespace {

class Sweeps : public testing::TestWithParam<std::string> {};

TEST_P(Sweeps, LieWithinTheBoundsOnEveryTable) {
  const char* given = std::getenv("TANDEM_SWEEP_CASES");
  const int count = given == nullptr ? 8 : std::atoi(given);
  Sweep sweep(1, {kernel_tables().begin(), kernel_tables().end()});
  Tally tally;
  for (int i = 0; i < count; ++i) {
    const auto miss = sweep.run(GetParam(), i, tally);
    ASSERT_FALSE(miss.has_value()) << miss->tables << ": " << miss->what << "\n" << miss->spec;
  }
  EXPECT_GT(tally.elements, 0);
}

INSTANTIATE_TEST_SUITE_P(Ops, Sweeps, testing::ValuesIn(Sweep::operations()),
                         [](const auto& tested) { return tested.param; });

TEST(Sweeps, KnowEveryOperator) {
  const auto swept = Sweep::operations();
  std::vector<std::string> paged;
  for (const auto& page : pages()) paged.push_back(page.at("name"));
  for (const Operator& op : operators()) {
    EXPECT_EQ(std::count(paged.begin(), paged.end(), op.name), 1) << op.name;
    EXPECT_EQ(std::count(swept.begin(), swept.end(), op.name), 1) << op.name;
    EXPECT_NE(op.oracle, nullptr) << op.name;
  }
}

// Each fault shows in the operators that could have it, within a few cases.
struct Seeded {
  const char* fault;
  std::vector<std::string> operations;
};

class Faults : public testing::TestWithParam<Seeded> {};

TEST_P(Faults, AreFound) {
  const Fault* fault = find_fault(GetParam().fault);
  ASSERT_NE(fault, nullptr);
  for (const std::string& operation : GetParam().operations) {
    Sweep sweep(1, {kernel_tables().front()}, fault);
    Tally tally;
    bool found = false;
    for (int i = 0; i < 60 && !found; ++i) found = sweep.run(operation, i, tally).has_value();
    EXPECT_TRUE(found) << operation;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ops, Faults,
    testing::Values(Seeded{"truncate", {"quantize", "rms_norm_quant"}},
                    Seeded{"last-k", {"matmul", "linear", "quant_matmul", "grouped_matmul", "mm_all_reduce"}},
                    Seeded{"group-scale", {"weight_quant_matmul", "mm_all_reduce"}},
                    Seeded{"offset-sign", {"quantize", "dequantize", "weight_quant_matmul", "mm_all_reduce"}},
                    Seeded{"residual-per-rank", {"mm_all_reduce"}},
                    Seeded{"epsilon", {"rms_norm", "rms_norm_quant", "rms_norm_dynamic_quant", "mm_all_reduce"}}),
    [](const auto& tested) {
      std::string name = tested.param.fault;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST(Faults, AreAllTested) { EXPECT_EQ(faults().size(), 6u); }

}  // namespace
}  // namespace tandem::check
