// SPDX-License-Identifier: Apache-2.0
// `tandem check` as a user runs it.
#include <gtest/gtest.h>
#include <signal.h>

#include <sstream>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

TEST(Check, EveryOperatorHasItsRow) {
  const Outcome outcome = run({"check", "--cases", "1", "--json"});
  ASSERT_EQ(0, outcome.exit_code) << outcome.out;
  EXPECT_EQ(1, std::count(outcome.out.begin(), outcome.out.end(), '\n'));
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_TRUE(report.at("ok").get<bool>());
  EXPECT_TRUE(report.at("misses").empty());
  EXPECT_GE(report.at("tables").size(), 2u);
  EXPECT_GE(report.at("operators").size(), 24u);
  for (const auto& row : report.at("operators")) {
    EXPECT_EQ(1, row.at("cases").get<int>()) << row;
    EXPECT_LE(row.at("worst_error_over_bound").get<double>(), 1) << row;
    int64_t counted = 0;
    for (const auto& part : row.at("ulps")) counted += part.at("elements").get<int64_t>();
    EXPECT_EQ(row.at("elements").get<int64_t>(), counted) << row;
  }
}

TEST(Check, AFaultIsAMissThatItsLineRepeats) {
  const Outcome outcome =
      run({"check", "--operator", "matmul", "--table", "portable", "--cases", "60", "--seed-fault", "last-k"});
  EXPECT_EQ(1, outcome.exit_code);
  const size_t at = outcome.out.find("again: tandem ");
  ASSERT_NE(std::string::npos, at) << outcome.out;
  std::istringstream line(outcome.out.substr(at + 14, outcome.out.find('\n', at) - at - 14));
  std::vector<std::string> words;
  for (std::string word; line >> word;) words.push_back(word);
  const Outcome again = run(words);
  EXPECT_EQ(1, again.exit_code) << again.out;
  EXPECT_NE(std::string::npos, again.out.find("1 cases on portable")) << again.out;
  words.resize(words.size() - 2);  // without the fault
  EXPECT_EQ(0, run(words).exit_code);
}

TEST(Check, WrongNamesAreNamed) {
  for (const auto& [flag, value] : Variables{{"--operator", "matmull"},
                                             {"--table", "avx3"},
                                             {"--seed-fault", "some"},
                                             {"--cases", "0"},
                                             {"--case", "-2"}}) {
    const Outcome outcome = run({"check", flag, value});
    EXPECT_EQ(1, outcome.exit_code) << flag;
    EXPECT_NE(std::string::npos, outcome.err.find(value)) << outcome.err;
  }
}

TEST(Check, AnInterruptEndsItWithWhatIsKnown) {
  Tool tool({"check", "--operator", "cast", "--cases", "1000000", "--progress"});
  ASSERT_TRUE(tool.wait_for_text(0, "%"));
  ::kill(tool.pid(), SIGINT);
  const Outcome outcome = tool.finish();
  EXPECT_EQ(128 + SIGINT, outcome.exit_code);
  EXPECT_NE(std::string::npos, outcome.out.find("interrupted")) << outcome.out;
}

}  // namespace
}  // namespace tandem::cli
