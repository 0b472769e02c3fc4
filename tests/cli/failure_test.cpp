// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

// One line on stderr, {"error": ..} on stdout, exit code 1.
void expect_refused(const std::vector<std::string>& arguments, const std::string& word) {
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err;
  const json line = json::parse(outcome.out, nullptr, false);
  ASSERT_TRUE(line.is_object()) << outcome.out;
  EXPECT_NE(line["error"].get<std::string>().find(word), std::string::npos);
}

TEST(Refusals, ArgumentsOutsideTheContract) {
  expect_refused({"generate", "--json", "--tp", "0"}, "--tp");
  expect_refused({"generate", "--json", "--tp", "9"}, "--tp");
  expect_refused({"generate", "--json", "--ranks", "fibres"}, "--ranks");
  expect_refused({"generate", "--json", "--temperature", "-1"}, "--temperature");
  expect_refused({"generate", "--json", "--temperature", "nan"}, "--temperature");
  expect_refused({"generate", "--json", "--max-tokens", "-1"}, "--max-tokens");
  expect_refused({"generate", "--json", "--logits", "0,x"}, "--logits");
  expect_refused({"generate", "--json", "--colour"}, "--colour");
  expect_refused({"generate", "--json", "--model", "/nowhere"}, "/nowhere");
  EXPECT_EQ(run({}).exit_code, 1);
}

std::string copy_with(const std::string& model, const char* file, const std::string& content) {
  const std::string folder = testing::TempDir() + "tandem-cli-model";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(model, folder);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, std::filesystem::perm_options::add);
  std::filesystem::remove(folder + "/" + file);
  std::ofstream(folder + "/" + file) << content;
  return folder;
}

TEST(Refusals, BrokenModelsAtEveryLayout) {
  const std::string model = any_model();
  if (model.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  const std::string broken = copy_with(model, "model.safetensors", "not a checkpoint");
  for (const char* ranks : {"threads", "processes"}) {
    expect_refused({"generate", "--json", "--model", broken, "--tp", "2", "--ranks", ranks}, "model.safetensors");
  }
  expect_refused({"generate", "--json", "--model", copy_with(model, "config.json", "{}")}, "config.json");
  expect_refused({"generate", "--json", "--model", copy_with(model, "tokenizer.json", "[")}, "tokenizer.json");
}

class LongRun : public testing::Test {
 protected:
  void SetUp() override {
    model_ = any_model();
    if (model_.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  }
  std::vector<std::string> four_processes() const {
    return {"generate", "--model", model_, "--tp", "4", "--ranks", "processes", "--repeat", "1000000", "--ignore-eos"};
  }
  static void expect_gone(const std::vector<pid_t>& processes) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    const auto any = [&] { return std::any_of(processes.begin(), processes.end(), alive); };
    while (any() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(10ms);
    EXPECT_FALSE(any());
  }
  std::string model_;
};

TEST_F(LongRun, AKilledRankIsNamedByEverySurvivor) {
  Tool tool(four_processes());
  ASSERT_TRUE(tool.wait_for_text(4, "\n"));
  const auto ranks = tool.children();
  ASSERT_EQ(ranks.size(), 4u);
  ::kill(ranks[2], SIGKILL);
  const auto killed = std::chrono::steady_clock::now();
  const Outcome outcome = tool.finish();
  EXPECT_LT(std::chrono::steady_clock::now() - killed, 5s);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("tandem: rank 2 was killed by signal 9"), std::string::npos) << outcome.err;
  for (const char* survivor : {"| rank 0: ", "| rank 1: ", "| rank 3: "}) {
    EXPECT_NE(outcome.err.find(survivor), std::string::npos) << outcome.err;
  }
  expect_gone(ranks);
}

TEST_F(LongRun, RanksDieWithTheirLauncher) {
  Tool tool(four_processes());
  ASSERT_TRUE(tool.wait_for_text(4, "\n"));
  const auto ranks = tool.children();
  ::kill(tool.pid(), SIGKILL);
  EXPECT_EQ(tool.finish().exit_code, 128 + SIGKILL);
  expect_gone(ranks);
}

TEST_F(LongRun, AnInterruptEndsTheWholeGroup) {
  Tool tool(four_processes());
  ASSERT_TRUE(tool.wait_for_text(4, "\n"));
  const auto ranks = tool.children();
  ::kill(-tool.pid(), SIGINT);
  EXPECT_EQ(tool.finish().exit_code, 128 + SIGINT);
  expect_gone(ranks);
}

}  // namespace
}  // namespace tandem::cli
