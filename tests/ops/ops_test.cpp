// SPDX-License-Identifier: Apache-2.0
// Every case of the single-device operators through C++ and through the vendor's interface.
#include <acl/acl.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <set>

#include "tests/ops/case.h"
#include "tests/ops/properties.h"

namespace tandem::ops_test {
namespace {

constexpr const char* kFamilies[] = {"norm",   "quantize",       "elementwise", "movement",    "rope",
                                     "matmul", "grouped_matmul", "attention",   "moe_routing", "transdata"};

void start_acl() {
  static const int status = aclInit(nullptr);
  ASSERT_TRUE(status == 0 || status == ACL_ERROR_REPEAT_INITIALIZE) << status;
}

class Family : public testing::TestWithParam<const char*> {};

TEST_P(Family, EveryCaseThroughEveryInterface) {
  start_acl();
  const std::vector<Case> cases = read_cases(GetParam());
  ASSERT_FALSE(cases.empty());
  std::set<std::string> names;
  for (const Case& c : cases) {
    EXPECT_TRUE(names.insert(c.id).second) << c.id << " is there twice";
    EXPECT_EQ(run_case(c), "") << c.id;
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, Family, testing::ValuesIn(kFamilies),
                         [](const auto& tested) { return std::string(tested.param); });

struct Line {
  std::string verdict;  // "", or what was wrong
  bool run = false;
};

// Lines <letter>1 .. <letter>last: every case and property that stands for one, run once more and counted.
std::string run_group(char letter, int last, const nlohmann::json& excuses) {
  std::map<std::string, Line> lines;
  const auto add = [&](const std::string& line, const std::string& verdict) {
    if (line.empty() || line[0] != letter) return;
    lines[line].run = true;
    if (!verdict.empty()) lines[line].verdict += verdict + "; ";
  };
  for (const char* family : kFamilies) {
    for (const Case& c : read_cases(family)) {
      if (!c.line.empty() && c.line[0] == letter) add(c.line, run_case(c));
    }
  }
  for (const Property& property : properties()) add(property.line, property.check());
  std::string wrong;
  int run = 0, excused = 0;
  for (int i = 1; i <= last; ++i) {
    const std::string name = letter + std::to_string(i);
    if (lines[name].run) {
      ++run;
      if (!lines[name].verdict.empty()) wrong += name + ": " + lines[name].verdict + "\n";
    } else if (excuses.contains(name)) {
      ++excused;
    } else {
      wrong += name + ": neither run nor excused\n";
    }
  }
  const std::string summary = fmt::format("group {}: {} run, {} excused\n", letter, run, excused);
  std::ofstream(fmt::format("{}/group_{}.summary", TANDEM_BINARY_DIR, letter)) << summary;
  std::fputs(summary.c_str(), stdout);
  return wrong;
}

TEST(Contract, GroupD) {
  start_acl();
  EXPECT_EQ(run_group('D', 71, read_family("group_de").at("excused")), "");
}

TEST(Contract, GroupE) {
  start_acl();
  EXPECT_EQ(run_group('E', 7, read_family("group_de").at("excused")), "");
}

}  // namespace
}  // namespace tandem::ops_test
