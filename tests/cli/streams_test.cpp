// SPDX-License-Identifier: Apache-2.0
// The tool with streams that are closed, full or no longer read, and with little memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

#include "tests/cli/tool.h"
#include "tools/job.h"

namespace tandem::cli {
namespace {

class Streams : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    model_ = any_model();
    if (model_.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  }
  // sh runs the tool on two ranks with `more` behind its arguments.
  Outcome script(const std::string& more) const { return run_script(command() + more, model_); }
  std::string command() const {
    return "\"$TOOL\" generate --model \"$MODEL\" --max-tokens 60 --ignore-eos --ranks " + std::string(GetParam()) +
           " --tp 2";
  }
  std::string model_;
};

TEST_P(Streams, TextThatIsLostIsAnError) {
  for (const char* to : {" >&-", " > /dev/full", " --json >&-", " --json > /dev/full", " <&- >&-"}) {
    const Outcome outcome = script(to);
    EXPECT_EQ(outcome.exit_code, 1) << to;
    EXPECT_NE(outcome.err.find("stdout: text could not be written"), std::string::npos) << to << ": " << outcome.err;
  }
}

TEST_P(Streams, TextArrivesWhenOnlyTheOthersAreClosed) {
  const Outcome wanted = script("");
  EXPECT_GT(wanted.out.size(), 60u);
  for (const char* closed : {" <&-", " 2>&-", " <&- 2>&-", " 2> /dev/full"}) {
    const Outcome outcome = script(closed);
    EXPECT_EQ(outcome.exit_code, 0) << closed;
    EXPECT_EQ(outcome.out, wanted.out) << closed;
  }
}

// The shell tells the status of a program that SIGPIPE ended as 141.
TEST_P(Streams, AReaderThatLeavesEndsTheRunQuietly) {
  const Outcome outcome = run_script("{ " + command() + " --repeat 100000; echo $? >&2; } | head -c 20", model_);
  EXPECT_EQ(outcome.out.size(), 20u);
  EXPECT_EQ(outcome.err, "141\n");
}

INSTANTIATE_TEST_SUITE_P(Ranks, Streams, testing::Values("threads", "processes"),
                         [](const auto& ranks) { return std::string(ranks.param); });

TEST(Tool, ErrorsWithoutStreamsHaveTheirExitCode) {
  for (const char* to : {" 2>&-", " 2> /dev/full", " >&- 2>&- <&-"}) {
    EXPECT_EQ(run_script("\"$TOOL\" generate --tp 0 --json" + std::string(to), "").exit_code, 1) << to;
  }
  for (const char* command : {"doctor", "doctor --json", "--version", "generate --help"}) {
    EXPECT_EQ(run_script("\"$TOOL\" " + std::string(command) + " > /dev/full", "").exit_code, 1) << command;
  }
}

// Not enough for the windows and stacks of eight ranks in one process.
TEST(Tool, WantOfMemoryIsAnError) {
  const std::string model = any_model();
  if (model.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  if (kSlower > 1) GTEST_SKIP() << "sanitizers need the address space";
  for (const char* kilobytes : {"70000", "80000", "100000"}) {
    const std::string command = "\"$TOOL\" generate --model \"$MODEL\" --tp 8";
    const Outcome outcome = run_script("ulimit -v " + std::string(kilobytes) + "; " + command, model);
    EXPECT_EQ(outcome.exit_code, 1) << kilobytes << ": " << outcome.err;
    const bool told =
        outcome.err.find("memory") != std::string::npos || outcome.err.find("thread") != std::string::npos;
    EXPECT_TRUE(told) << outcome.err;
  }
}

TEST(Guarded, ExceptionsBecomeErrors) {
  using tool::guarded;
  const auto code = [](const auto& body) { return guarded(body).error().code; };
  EXPECT_EQ(code([]() -> Status { throw std::bad_alloc(); }), ErrorCode::out_of_memory);
  EXPECT_EQ(code([]() -> Status { throw std::length_error("vector"); }), ErrorCode::out_of_memory);
  EXPECT_EQ(code([]() -> Status { throw std::runtime_error("x"); }), ErrorCode::internal);
  EXPECT_EQ(guarded([]() -> Expected<int> { return 7; }).value(), 7);
}

}  // namespace
}  // namespace tandem::cli
