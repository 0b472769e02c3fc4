// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/rope_table.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tandem {
namespace {

TEST(RopeTable, FollowsItsFormulaWithinAnUlp) {
  const RopeTable table(700, 32, 10000.0);
  ASSERT_EQ(table.cos.size(), 700u * 16);
  for (int64_t position = 0; position < 700; position += 7) {
    for (int64_t i = 0; i < 16; ++i) {
      const double angle = static_cast<double>(position) * std::pow(10000.0, -2.0 * static_cast<double>(i) / 32.0);
      const auto at = static_cast<size_t>(position * 16 + i);
      EXPECT_NEAR(table.cos[at], std::cos(angle), 6e-8);
      EXPECT_NEAR(table.sin[at], std::sin(angle), 6e-8);
    }
  }
}

}  // namespace
}  // namespace tandem
