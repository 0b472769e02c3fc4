// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/tree.h"

#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

std::string shape_of(int count) {
  return tree_reduce(
      0, count, [](int i) { return std::to_string(i); },
      [](const std::string& a, const std::string& b) { return "(" + a + b + ")"; });
}

TEST(Tree, SplitsAtTheLargestPowerOfTwoBelowTheCount) {
  EXPECT_EQ(shape_of(1), "0");
  EXPECT_EQ(shape_of(2), "(01)");
  EXPECT_EQ(shape_of(3), "((01)2)");
  EXPECT_EQ(shape_of(4), "((01)(23))");
  EXPECT_EQ(shape_of(5), "(((01)(23))4)");
  EXPECT_EQ(shape_of(6), "(((01)(23))(45))");
  EXPECT_EQ(shape_of(8), "(((01)(23))((45)(67)))");
}

TEST(Tree, StartsAnywhere) {
  const auto leaf = [](int i) { return i; };
  const auto add = [](int a, int b) { return 10 * a + b; };
  EXPECT_EQ(tree_reduce(3, 2, leaf, add), 34);
}

TEST(Tree, LeavesOfARank) {
  const int expected[] = {8, 4, 2, 2, 1, 1, 1, 1, 1};
  for (int ranks = 1; ranks <= 9; ++ranks) EXPECT_EQ(leaves_per_rank(ranks), expected[ranks - 1]) << ranks;
}

// A power of two of ranks, each with its own leaves, adds in the order of one rank with all of them.
TEST(Tree, RanksNestIntoTheTreeOfOneRank) {
  for (const int ranks : {1, 2, 4, 8}) {
    const int leaves = leaves_per_rank(ranks);
    const auto add = [](const std::string& a, const std::string& b) { return "(" + a + b + ")"; };
    const auto leaf = [](int i) { return std::to_string(i); };
    const auto partial = [&](int rank) { return tree_reduce(rank * leaves, leaves, leaf, add); };
    EXPECT_EQ(tree_reduce(0, ranks, partial, add), shape_of(8)) << ranks;
  }
}

}  // namespace
}  // namespace tandem
