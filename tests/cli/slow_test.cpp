// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <random>
#include <string>
#include <thread>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

using nlohmann::json;

// 256 sampled tokens and all their logits: the same bits for every number and kind of ranks and every table.
TEST(Matrix, RanksAndTablesGiveTheSameBits) {
  const std::string model = any_model();
  if (model.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  const auto run_at = [&](const std::string& tp, const std::string& ranks, const std::string& table) {
    return generate({"--model", model, "--tp", tp, "--ranks", ranks, "--max-tokens", "256", "--temperature", "1",
                     "--seed", "7", "--ignore-eos"},
                    {{"TANDEM_TABLE", table}});
  };
  const json doctor = json::parse(run({"doctor", "--json"}).out);
  const json wanted = run_at("1", "threads", "portable");
  EXPECT_EQ(wanted["token_ids"].size(), 256u);
  for (const json& table : doctor["tables"]["runnable"]) {
    if (table == "reference") continue;
    for (const char* tp : {"1", "2", "4", "8"}) {
      for (const char* ranks : {"threads", "processes"}) {
        const json got = run_at(tp, ranks, table);
        EXPECT_EQ(got["table"], table);
        EXPECT_EQ(got["token_ids"], wanted["token_ids"]) << tp << " " << ranks << " " << table;
        EXPECT_EQ(got["logits_sha256"], wanted["logits_sha256"]) << tp << " " << ranks << " " << table;
      }
    }
  }
}

TEST(KilledRank, AtTwentyRandomMoments) {
  const std::string model = any_model();
  if (model.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  std::mt19937 random(20);
  std::chrono::steady_clock::duration slowest{};
  for (int round = 0; round < 20; ++round) {
    Tool tool(
        {"generate", "--model", model, "--tp", "4", "--ranks", "processes", "--repeat", "1000000", "--ignore-eos"});
    ASSERT_TRUE(tool.wait_for_text(4, " "));
    const auto ranks = tool.children();
    ASSERT_EQ(ranks.size(), 4u);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 400));
    const size_t victim = random() % 4;
    const auto killed = std::chrono::steady_clock::now();
    ::kill(ranks[victim], SIGKILL);
    const Outcome outcome = tool.finish();  // at the end of the last survivor
    const auto notice = std::chrono::steady_clock::now() - killed;
    EXPECT_LT(notice, kNotice);
    slowest = std::max(slowest, notice);
    EXPECT_EQ(outcome.exit_code, 1);
    const std::string name = "rank " + std::to_string(victim);
    EXPECT_NE(outcome.err.find("tandem: " + name + " was killed"), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '|'), 3) << outcome.err;
    EXPECT_TRUE(std::none_of(ranks.begin(), ranks.end(), alive));
  }
  std::cout << "slowest of 20: " << std::chrono::duration<double, std::milli>(slowest).count() << " ms\n";
}

}  // namespace
}  // namespace tandem::cli
