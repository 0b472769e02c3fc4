// SPDX-License-Identifier: Apache-2.0
// The vendor's interface gives the bits of the C++ call, for the families of tests/cases/mm_all_reduce.json that ask.
#include <gtest/gtest.h>

#include "tests/fused/aclnn_group.h"
#include "tests/fused/checks.h"

namespace tandem::fused {
namespace {

std::vector<Family> families_through_aclnn() {
  std::vector<Family> families = read_families();
  std::erase_if(families, [](const Family& family) { return !family.wants("aclnn"); });
  return families;
}

class Aclnn : public testing::TestWithParam<Family> {};

TEST_P(Aclnn, GivesTheBitsOfTheCppCall) {
  Groups groups;
  for (const nlohmann::json& member : GetParam().members) {
    for (const int ranks : GetParam().ranks) {
      const Problem problem = problem_at(member, ranks);
      SCOPED_TRACE(problem.describe());
      const auto data = make_ranks(problem);
      const auto wanted = groups.run(problem, data);
      ASSERT_TRUE(wanted.has_value()) << wanted.error().message;
      const AclnnResult got = run_aclnn(problem, data);
      ASSERT_EQ(got.error, "");
      ASSERT_TRUE(all_same(got.ranks));
      ASSERT_TRUE(got.ranks.front() == wanted->front());
      if (problem.tail) continue;
      const AclnnResult newest = run_aclnn(problem, data, true);
      ASSERT_EQ(newest.error, "");
      ASSERT_TRUE(newest.ranks == got.ranks);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fused, Aclnn, testing::ValuesIn(families_through_aclnn()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace tandem::fused
