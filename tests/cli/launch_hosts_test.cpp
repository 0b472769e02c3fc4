// SPDX-License-Identifier: Apache-2.0
// `tandem launch --hosts` with a remote shell that stays on this machine: each "host" has an identity of its own.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/cli/lines_test.h"
#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

class LaunchHosts : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = testing::TempDir() + "tandem-launch-hosts-" + std::to_string(getpid());
    std::filesystem::create_directories(folder);
    write("shell", "#!/bin/sh\nhost=$1\nshift\nexport TANDEM_HOST_ID=\"$host\"\nexec sh -c \"$*\"\n");
    std::filesystem::permissions(folder + "/shell", std::filesystem::perms::owner_all);
    write("hosts", "# two hosts\nlocalhost slots=2\n\n127.0.0.1 slots=2 # the other\n");
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void write(const std::string& name, const std::string& text) const { std::ofstream(folder + "/" + name) << text; }

  std::vector<std::string> command(const std::vector<std::string>& program,
                                   const std::vector<std::string>& options = {}) const {
    std::vector<std::string> all = {"launch", "--hosts", folder + "/hosts", "--rsh", folder + "/shell"};
    all.insert(all.end(), options.begin(), options.end());
    all.push_back("--");
    all.insert(all.end(), program.begin(), program.end());
    return all;
  }
  std::vector<std::string> script(const std::string& text, const std::vector<std::string>& options = {}) const {
    return command({"/bin/sh", "-c", text}, options);
  }
  // Process ids that ranks wrote into the folder.
  std::vector<pid_t> ranks(size_t count) const {
    std::vector<pid_t> pids;
    for (int tries = 0; tries < 1000 && pids.size() < count; ++tries) {
      pids.clear();
      for (size_t rank = 0; rank < count; ++rank) {
        std::ifstream file(folder + "/pid" + std::to_string(rank));
        if (pid_t pid = 0; file >> pid) pids.push_back(pid);
      }
      usleep(10'000);
    }
    return pids;
  }
  std::string waiting() const { return "echo $$ >" + folder + "/pid$RANK; exec sleep 60"; }

  std::string folder;
};

bool all_gone(const std::vector<pid_t>& pids) {
  for (int tries = 0; tries < 1000; ++tries) {
    if (std::ranges::none_of(pids, alive)) return true;
    usleep(10'000);
  }
  return false;
}

TEST_F(LaunchHosts, RanksFindTheirPlace) {
  const Outcome outcome = run(script("echo $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $MASTER_ADDR $TANDEM_HOST_ID"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<std::string> wanted = {"[0] 4 0 2 localhost localhost", "[1] 4 1 2 localhost localhost",
                                           "[2] 4 0 2 localhost 127.0.0.1", "[3] 4 1 2 localhost 127.0.0.1"};
  EXPECT_EQ(sorted_lines(outcome.out), wanted);
}

TEST_F(LaunchHosts, FewerRanksThanSlots) {
  const Outcome outcome = run(script("echo $WORLD_SIZE $LOCAL_WORLD_SIZE", {"-n", "3", "--no-prefix"}));
  EXPECT_EQ(sorted_lines(outcome.out), (std::vector<std::string>{"3 1", "3 2", "3 2"}));
}

TEST_F(LaunchHosts, ArgumentsFolderAndVariablesArriveAsTheyAre) {
  const std::string odd = "a 'b' \"c\" $HOME `x` \\ \xc3\xa9";
  const Outcome outcome = run(command({"/bin/sh", "-c", "printf '%s|%s|%s\\n' \"$1\" \"$ODD\" \"$PWD\"", "sh", odd},
                                      {"-n", "3", "-x", "ODD=" + odd, "--no-prefix"}));
  const std::string line = odd + "|" + odd + "|" + std::filesystem::current_path().string();
  EXPECT_EQ(outcome.out, line + "\n" + line + "\n" + line + "\n") << outcome.err;
}

TEST_F(LaunchHosts, RanksOfBothHostsMeet) {
  const Outcome outcome = run(
      command({TANDEM_TOOL, "bench", "collective", "--op", "all_reduce", "-b", "1K", "-e", "1K", "-n", "1", "-w", "1"},
              {"-n", "3", "-x", "UCX_TLS=tcp"}));
  if (outcome.err.find("built without UCX") != std::string::npos) GTEST_SKIP() << "built without UCX";
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_part(outcome.out, "1024");
}

TEST_F(LaunchHosts, FailedRankIsNamedAndEndsTheOthers) {
  const Outcome outcome = run(script("if [ $RANK = 3 ]; then while [ $(ls " + folder +
                                         " | grep -c pid) -lt 3 ]; do sleep 0.05; done; exit 7; fi; " + waiting(),
                                     {"--grace", "0.2"}));
  EXPECT_EQ(outcome.exit_code, 7) << outcome.err;
  expect_part(outcome.err, "rank 3 (process ");
  expect_part(outcome.err, "the launcher on 127.0.0.1 (process ");
  const auto others = ranks(3);
  EXPECT_EQ(others.size(), 3u);
  EXPECT_TRUE(all_gone(others));
}

TEST_F(LaunchHosts, AnInterruptEndsAll) {
  Tool tool(script(waiting()));
  const auto pids = ranks(4);
  ASSERT_EQ(pids.size(), 4u);
  ::kill(tool.pid(), SIGINT);
  EXPECT_EQ(tool.finish().exit_code, 128 + SIGINT);
  EXPECT_TRUE(all_gone(pids));
}

TEST_F(LaunchHosts, RanksDieWithTheLauncher) {
  Tool tool(script(waiting(), {"--grace", "0.2"}));
  const auto pids = ranks(4);
  ASSERT_EQ(pids.size(), 4u);
  ::kill(tool.pid(), SIGKILL);
  EXPECT_TRUE(all_gone(pids));
  tool.finish();
}

TEST_F(LaunchHosts, AHostThatCannotBeReachedIsNamed) {
  auto words = script(waiting(), {"--grace", "0.2"});
  words[4] = "/bin/false";
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.exit_code, 1);
  expect_part(outcome.err, "the launcher on localhost (process ");
}

TEST_F(LaunchHosts, WrongHostsFilesAreRefused) {
  for (const char* text :
       {"", "# nobody\n", "a slots=0\n", "a slots=x\n", "a 2\n", "-oProxyCommand=x\n", "a;b\n", "a slots=1 b\n"}) {
    write("hosts", text);
    const Outcome outcome = run(script("true"));
    EXPECT_EQ(outcome.exit_code, 1) << text;
    expect_part(outcome.err, "wanted");
  }
  write("hosts", "a slots=2\n");
  expect_part(run(script("true", {"-n", "3"})).err, "launch: 3 ranks asked for, 2 slots on 1 hosts");
}

TEST_F(LaunchHosts, WrongOrdersAreRefused) {
  for (const std::string order : {"", "{}", "[]", "nonsense", R"({"world":2,"first":1,"ranks":2})"}) {
    const Outcome outcome = run_script("printf '%s\\n' '" + order + "' | $TOOL launch --agent", "");
    EXPECT_EQ(outcome.exit_code, 1) << order;
    expect_part(outcome.err, "launch: ");
  }
}

}  // namespace
}  // namespace tandem::cli
