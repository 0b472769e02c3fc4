// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
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
  expect_refused({"generate", "--json=true", "--tp", "0"}, "--tp");
  EXPECT_EQ(run({"generate", "--json=false", "--tp", "0"}).out, "");
  EXPECT_EQ(run({}).exit_code, 1);
}

TEST(Refusals, AMisspeltTableIsNoOtherTable) {
  const std::string model = any_model();
  if (model.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  for (const char* ranks : {"threads", "processes"}) {
    const Outcome outcome =
        run({"generate", "--json", "--model", model, "--ranks", ranks}, {{"TANDEM_TABLE", "portabel"}});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.out.find("TANDEM_TABLE portabel, one of "), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("portable"), std::string::npos) << outcome.out;
  }
  const Outcome doctor = run({"doctor", "--json"}, {{"TANDEM_TABLE", "portabel"}});
  EXPECT_TRUE(json::parse(doctor.out)["tables"].contains("refused")) << doctor.out;
}

TEST(Refusals, BrokenModelsAtEveryLayout) {
  const std::string model = any_model();
  if (model.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  const ModelCopy broken(model, "model.safetensors", "not a checkpoint");
  for (const char* ranks : {"threads", "processes"}) {
    expect_refused({"generate", "--json", "--model", broken.folder, "--tp", "2", "--ranks", ranks},
                   "model.safetensors");
  }
  for (const char* file : {"config.json", "tokenizer.json"}) {
    const ModelCopy empty(model, file, "{");
    expect_refused({"generate", "--json", "--model", empty.folder}, file);
  }
}

TEST(Refusals, FifosInAModelFolder) {
  const std::string model = any_model();
  if (model.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  for (const char* file : {"tokenizer.json", "model.safetensors"}) {
    const ModelCopy copy(model, file, "");
    const std::string path = copy.folder + "/" + file;
    std::filesystem::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    expect_refused({"generate", "--json", "--model", copy.folder}, "a regular file wanted");
  }
}

// Of NaN in every logit nothing can be said but null, on every layout alike.
TEST(Refusals, LogitsThatAreNoNumbersAreNull) {
  const std::string model = any_model();
  if (model.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  std::string bytes = file_bytes(model + "/model.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto offsets = json::parse(bytes.substr(8, header))["model.norm.weight"]["data_offsets"];
  const auto begin = offsets[0].get<size_t>(), end = offsets[1].get<size_t>();
  bytes.replace(8 + header + begin, end - begin, end - begin, '\xff');
  const ModelCopy broken(model, "model.safetensors", bytes);
  const auto at = [&](const char* ranks) {
    return generate({"--model", broken.folder, "--tp", "2", "--ranks", ranks, "--max-tokens", "3", "--logits", "0,1"});
  };
  const json threads = at("threads"), processes = at("processes");
  ASSERT_EQ(threads["logits"].size(), 2u);
  for (const json& logit : threads["logits"][1]) ASSERT_TRUE(logit.is_null());
  EXPECT_EQ(processes["logits"], threads["logits"]);
  EXPECT_EQ(processes["token_ids"], threads["token_ids"]);
  EXPECT_EQ(processes["logits_sha256"], threads["logits_sha256"]);
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
  EXPECT_LT(std::chrono::steady_clock::now() - killed, kNotice);
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
