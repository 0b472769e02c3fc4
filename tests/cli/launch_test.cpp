// SPDX-License-Identifier: Apache-2.0
// `tandem launch`: what ranks find, how they end, and that nothing is left.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/cli/lines_test.h"
#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPatience{10'000};  // no limit to keep, an end to waiting

// `launch` of a script of sh.
std::vector<std::string> script(int ranks, const std::string& text, const std::vector<std::string>& options = {}) {
  std::vector<std::string> arguments = {"launch", "-n", std::to_string(ranks)};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.insert(arguments.end(), {"--", "/bin/sh", "-c", text});
  return arguments;
}

// A file name of this test that does not exist yet; removed with this object.
struct Scratch {
  Scratch() : path(testing::TempDir() + "tandem-launch-" + std::to_string(getpid())) { std::filesystem::remove(path); }
  ~Scratch() { std::filesystem::remove(path); }
  const std::string path;
};

// Process ids a script wrote into a file, one a line.
std::vector<pid_t> pids_in(const std::string& path) {
  std::ifstream file(path);
  std::vector<pid_t> pids;
  for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
  return pids;
}

bool all_gone(const std::vector<pid_t>& pids, milliseconds limit) {
  const auto end = steady_clock::now() + limit;
  while (std::ranges::any_of(pids, alive)) {
    if (steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

TEST(Launch, RanksFindTheirPlace) {
  const Outcome outcome = run(script(3, "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $MASTER_ADDR"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<std::string> wanted = {"[0] 0 3 0 3 127.0.0.1", "[1] 1 3 1 3 127.0.0.1", "[2] 2 3 2 3 127.0.0.1"};
  EXPECT_EQ(sorted_lines(outcome.out), wanted);
  EXPECT_EQ(outcome.err, "");
}

TEST(Launch, OneJobNameForAllAndAnotherNextTime) {
  const auto names = [] {
    auto lines = sorted_lines(run(script(2, "echo $TANDEM_JOB $MASTER_PORT", {"--no-prefix"})).out);
    EXPECT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines.front(), lines.back());
    return lines.front();
  };
  const std::string first = names();
  EXPECT_GT(first.size(), 32u);
  EXPECT_NE(first, names());
}

TEST(Launch, LinesKeepTheirRankAndStream) {
  const Outcome outcome = run(script(2, "printf 'a\\nb'; printf 'e%s\\n' $RANK >&2"));
  EXPECT_EQ(sorted_lines(outcome.out), (std::vector<std::string>{"[0] a", "[0] b", "[1] a", "[1] b"}));
  EXPECT_EQ(sorted_lines(outcome.err), (std::vector<std::string>{"[0] e0", "[1] e1"}));
}

TEST(Launch, MuchOutputArrivesWhole) {
  const Outcome outcome = run(script(2, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"));
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 40000);
  expect_part(outcome.out, "[1] line 19999\n");
}

TEST(Launch, FailedRankIsNamedAndEndsTheOthers) {
  const auto start = steady_clock::now();
  const Outcome outcome = run(script(3, "if [ $RANK = 1 ]; then exit 7; fi; exec sleep 60", {"--grace", "0.2"}));
  EXPECT_EQ(outcome.exit_code, 7);
  expect_part(outcome.err, "rank 1 (process ");
  expect_part(outcome.err, "ended with exit code 7");
  expect_part(outcome.err, "killed by signal 15");
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(Launch, KilledRankIsNamedAndDeafOnesAreKilled) {
  const std::string deaf = "if [ $RANK = 0 ]; then kill -9 $$; fi; trap '' TERM; while :; do sleep 0.1; done";
  const Outcome outcome = run(script(2, deaf, {"--grace", "0.1"}));
  EXPECT_EQ(outcome.exit_code, 128 + SIGKILL);
  EXPECT_EQ(outcome.err.find("tandem launch: rank 0 (process "), 0u) << outcome.err;
  expect_part(outcome.err, "was killed by signal 9");
}

TEST(Launch, ProgramThatIsNotThere) {
  const Outcome outcome = run({"launch", "-n", "1", "--", "/no/such/program"});
  EXPECT_EQ(outcome.exit_code, 127);
  expect_part(outcome.err, "could not be run: No such file");
}

TEST(Launch, ArgumentsArePassedAsTheyAre) {
  const Outcome outcome = run({"launch", "-n", "1", "--", "/bin/echo", "-n", "--json", "a b", "--"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "[0] --json a b --\n");
}

TEST(Launch, WrongArgumentsAreRefused) {
  EXPECT_EQ(run({"launch", "-n", "0", "--", "/bin/true"}).exit_code, 1);
  EXPECT_EQ(run({"launch", "-n", "2"}).exit_code, 1);
  EXPECT_EQ(run({"launch", "--", "/bin/true"}).exit_code, 1);
}

TEST(Launch, SignalsArePassedOn) {
  Tool tool(script(2, "trap 'echo caught; exit 0' USR1; echo ready; while :; do sleep 0.05; done"));
  ASSERT_TRUE(tool.wait_for_text(2, "[0] ready"));
  ASSERT_TRUE(tool.wait_for_text(2, "[1] ready"));
  ::kill(tool.pid(), SIGUSR1);
  const Outcome outcome = tool.finish();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_part(outcome.out, "[0] caught");
  expect_part(outcome.out, "[1] caught");
}

TEST(Launch, InterruptEndsAllAndIsTheExitCode) {
  Tool tool(script(2, "echo ready; exec sleep 60"));
  ASSERT_TRUE(tool.wait_for_text(2, "[0] ready"));
  ASSERT_TRUE(tool.wait_for_text(2, "[1] ready"));
  const auto ranks = tool.children();
  ::kill(tool.pid(), SIGINT);
  EXPECT_EQ(tool.finish().exit_code, 128 + SIGINT);
  EXPECT_TRUE(all_gone(ranks, milliseconds(0)));
}

// Background processes of ranks, in and out of their group, go with the job.
TEST(Launch, NothingIsLeft) {
  const Scratch scratch;
  const std::string text = "sleep 60 & echo $! >>" + scratch.path + "; setsid sleep 60 & echo $! >>" + scratch.path +
                           "; echo $$ >>" + scratch.path + "; sleep 0.2";
  const Outcome outcome = run(script(2, text));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto pids = pids_in(scratch.path);
  EXPECT_EQ(pids.size(), 6u);
  EXPECT_TRUE(all_gone(pids, kPatience));
}

TEST(Launch, RanksDieWithTheLauncher) {
  Tool tool(script(3, "echo ready; exec sleep 60"));
  for (const char* text : {"[0] ready", "[1] ready", "[2] ready"}) ASSERT_TRUE(tool.wait_for_text(3, text));
  const auto ranks = tool.children();
  ASSERT_EQ(ranks.size(), 3u);
  ::kill(tool.pid(), SIGKILL);
  EXPECT_TRUE(all_gone(ranks, kPatience));
  tool.finish();
}

TEST(Launch, StandardInputGoesToRankZero) {
  const Outcome outcome = run_script("printf 'hello\\n' | $TOOL launch -n 2 -- /bin/sh -c 'read x; echo got $x'", "");
  EXPECT_EQ(sorted_lines(outcome.out), (std::vector<std::string>{"[0] got hello", "[1] got"}));
}

TEST(Launch, EndsWhenNobodyReads) {
  const auto start = steady_clock::now();
  const Outcome outcome =
      run_script("$TOOL launch -n 2 -- /bin/sh -c 'while :; do echo x; sleep 0.01; done' | head -n 3", "");
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 3);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(30));
}

}  // namespace
}  // namespace tandem::cli
