// SPDX-License-Identifier: Apache-2.0
// Who waits for whom, read from outside.
#include "tandem/comm/inspect.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <thread>

#include "forked_job.h"
#include "operators.h"
#include "tandem/base/matches_test.h"

namespace tandem::test {
namespace {

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in\n" << text;
}

Status for_ever(Communicator& comm) {
  const auto round = make_round("all_gather", comm);
  Status status;
  while (status) status = round();
  return status;
}

// Until `part` is in what inspect says, or 10 s have passed.
std::string inspect_until(pid_t pid, const std::string& part) {
  std::string text;
  for (int i = 0; i < 500 && text.find(part) == std::string::npos; ++i) {
    usleep(20'000);
    const auto found = inspect_process(pid, 3);
    text = found ? *found : found.error().message;
  }
  return text;
}

TEST(Inspect, NamesTheStoppedRankTheOperatorAndItsNumber) {
  ForkedJob job(3, for_ever, [](int) -> ForkedJob::Environment {
    return {{"TANDEM_FAULT", "stop:rank=2,step=begin,count=30"}, {"TANDEM_STALL_S", "100"}};
  });
  ASSERT_TRUE(job.await_connected());
  for (const int rank : {0, 1, 2}) {
    const std::string text = inspect_until(job.pid(rank), "rank 2 holds up rank 0, rank 1");
    if (text.find("may not be read") != std::string::npos) GTEST_SKIP() << text;
    expect_part(text, "communicator group, 3 ranks");
    expect_part(text, "rank 2 holds up rank 0, rank 1");
    expect_part(text, "rank 0 (process " + std::to_string(job.pid(0)) +
                          "): all_gather count=20000 dtype=i32, operator 30: "
                          "waits for rank 2: its call of operator 30, it has 29");
    expect_part(text, "rank 2 (process " + std::to_string(job.pid(2)) + ", stopped)");
    expect_part(text, "rank " + std::to_string(rank) + ": 30 operators and messages, the last 3:");
    EXPECT_TRUE(testing::matches(text, "30 all_gather count=20000 dtype=i32: began [0-9.]+ s ago")) << text;
    EXPECT_TRUE(testing::matches(text, "29 all_gather count=20000 dtype=i32: took [0-9.]+ s")) << text;
  }
}

TEST(Inspect, DoesNotDisturbARunningJob) {
  const auto body = [](Communicator& comm) -> Status {
    const auto round = make_round(operator_names().back(), comm);
    for (int i = 0; i < 300; ++i) {
      if (Status s = round(); !s) return s;
    }
    return {};
  };
  ForkedJob job(3, body, [](int) { return ForkedJob::Environment{}; });
  ASSERT_TRUE(job.await_connected());
  int answers = 0;
  while (job.report(1).stage.load() != RankReport::ended) answers += inspect_process(job.pid(1), 2000) ? 1 : 0;
  ASSERT_TRUE(job.finish(60));
  for (int rank = 0; rank < 3; ++rank) EXPECT_TRUE(job.report(rank).ok) << job.report(rank).text;
  EXPECT_GT(answers, 0);
}

TEST(Inspect, ThreadsOfOneProcessAreAllThere) {
  auto ranks = Communicator::local(3, {}, "three threads", 4096);
  ASSERT_TRUE(ranks);
  std::thread waiting([&] { (void)make_round("barrier", *(*ranks)[1])(); });
  const std::string text = inspect_until(getpid(), "waits for rank 0");
  (*ranks)[0]->abort({ErrorCode::internal, "enough"});
  waiting.join();
  expect_part(text, "communicator three threads, 3 ranks");
  expect_part(text, "rank 1: barrier");
  expect_part(text, "its call of operator 1, it has 0");
  expect_part(text, "rank 2: 0 operators and messages");
}

TEST(Inspect, SaysWhatIsMissing) {
  const auto nobody = inspect_process(0x3fffffff);
  ASSERT_FALSE(nobody);
  expect_part(nobody.error().message, "there is no process ");
  const auto other = inspect_process(getppid());
  ASSERT_FALSE(other);
  expect_part(other.error().message, "process ");
}

// What the program writes to stderr between the signal and its end.
std::string stderr_of_signalled_job(const ForkedJob::Environment& environment) {
  int ends[2];
  if (pipe(ends) != 0) return "";
  std::string text;
  {
    const int saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    ForkedJob job(2, for_ever, [&](int) { return environment; });
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    if (!job.await_connected()) return "not connected";
    usleep(50'000);
    kill(job.pid(1), SIGUSR1);
    usleep(200'000);
    kill(job.pid(0), SIGKILL);
    job.finish(20);
  }
  char bytes[65536];
  for (ssize_t got = 1; got > 0;) {
    got = read(ends[0], bytes, sizeof bytes);
    if (got > 0) text.append(bytes, static_cast<size_t>(got));
  }
  close(ends[0]);
  return text;
}

TEST(Inspect, SigusrOnePrintsItWhenAskedFor) {
  const std::string text = stderr_of_signalled_job({{"TANDEM_SIGUSR1", "1"}});
  if (text.find("may not be read") != std::string::npos) GTEST_SKIP() << text;
  expect_part(text, "communicator group, 2 ranks");
  expect_part(text, "all_gather count=20000 dtype=i32");
  EXPECT_EQ(stderr_of_signalled_job({}), "");
}

#ifdef TANDEM_TOOL
TEST(Inspect, TheToolPrintsIt) {
  ForkedJob job(2, for_ever, [](int) { return ForkedJob::Environment{}; });
  ASSERT_TRUE(job.await_connected());
  usleep(50'000);
  const std::string command = std::string(TANDEM_TOOL) + " inspect " + std::to_string(job.pid(0)) + " --last 2 2>&1";
  std::string text;
  FILE* output = popen(command.c_str(), "r");
  ASSERT_NE(output, nullptr);
  char bytes[4096];
  while (const size_t got = fread(bytes, 1, sizeof bytes, output)) text.append(bytes, got);
  pclose(output);
  if (text.find("may not be read") != std::string::npos) GTEST_SKIP() << text;
  expect_part(text, "communicator group, 2 ranks");
  expect_part(text, "the last 2:");
}
#endif

}  // namespace
}  // namespace tandem::test
