// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>
#include <tuple>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

using nlohmann::json;

// Ranks and what they are.
using Layout = std::tuple<int, std::string>;

std::vector<std::string> at(const Layout& layout, const std::string& model, std::vector<std::string> more) {
  const auto& [tp, ranks] = layout;
  more.insert(more.begin(), {"--model", model, "--tp", std::to_string(tp), "--ranks", ranks});
  return more;
}

json reference_of(const std::string& model) {
  std::ifstream file(model + "/reference.json");
  return json::parse(file);
}

void expect_close(const json& logits, const json& wanted) {
  ASSERT_EQ(logits.size(), wanted.size());
  for (size_t row = 0; row < wanted.size(); ++row) {
    ASSERT_EQ(logits[row].size(), wanted[row].size());
    for (size_t i = 0; i < wanted[row].size(); ++i) {
      const double x = wanted[row][i].get<double>();
      ASSERT_NEAR(logits[row][i].get<double>(), x, 2e-4 * std::max(1.0, std::abs(x)))
          << "row " << row << " column " << i;
    }
  }
}

class Reference : public testing::TestWithParam<std::tuple<Layout, std::string>> {};

TEST_P(Reference, GreedyTokensAndLogits) {
  const auto& [layout, name] = GetParam();
  const std::string model = shared_model(name);
  if (model.empty()) GTEST_SKIP() << "TANDEM_TEST_DATA has no " << name;
  const json wanted = reference_of(model);
  const json got = generate(at(layout, model, {"--max-tokens", "40", "--logits", "0,7,15"}));
  const auto greedy = wanted["greedy"].get<std::vector<int>>();
  EXPECT_EQ(got["token_ids"], std::vector<int>(greedy.end() - 40, greedy.end()));
  EXPECT_EQ(got["prompt_ids"], wanted["prompt"]);
  EXPECT_EQ(got["logits_positions"], wanted["logits_positions"]);
  expect_close(got["logits"], wanted["logits"]);
}

INSTANTIATE_TEST_SUITE_P(Layouts, Reference,
                         testing::Combine(testing::Values(Layout{1, "threads"}, Layout{2, "threads"},
                                                          Layout{4, "threads"}, Layout{1, "processes"},
                                                          Layout{2, "processes"}, Layout{4, "processes"}),
                                          testing::Values("stories260K-hf", "stories260K-moe-clone")));

// Heads and columns that do not divide, and ranks that own nothing.
INSTANTIATE_TEST_SUITE_P(Uneven, Reference,
                         testing::Combine(testing::Values(Layout{3, "threads"}, Layout{7, "threads"}),
                                          testing::Values("stories260K-hf", "stories260K-moe4top2")));

TEST(Generate, CopiedExpertsReproduceTheDenseText) {
  const std::string dense = shared_model("stories260K-hf");
  const std::string clone = shared_model("stories260K-moe-clone");
  if (dense.empty() || clone.empty()) GTEST_SKIP() << "TANDEM_TEST_DATA has no stories260K-hf or -moe-clone";
  const std::vector<std::string> more = {"--prompt", "Tom and his dog", "--max-tokens", "80"};
  const json one = generate(at({1, "threads"}, dense, more));
  EXPECT_EQ(one["text"], generate(at({2, "processes"}, clone, more))["text"]);
  EXPECT_GT(one["text"].get<std::string>().size(), 80u);
}

class AnyModel : public testing::Test {
 protected:
  void SetUp() override {
    model_ = any_model();
    if (model_.empty()) GTEST_SKIP() << "no embedded model and no TANDEM_TEST_DATA";
  }
  std::string model_;
};

// The reduced form of the matrix in slow_test.cpp.
TEST_F(AnyModel, SameBitsAtEveryLayoutAndTable) {
  const std::vector<std::string> more = {"--max-tokens", "24", "--temperature", "1", "--seed", "7"};
  const json wanted = generate(at({1, "threads"}, model_, more));
  EXPECT_EQ(wanted["logits_sha256"].get<std::string>().size(), 64u);
  for (const Layout& layout : {Layout{2, "processes"}, Layout{4, "threads"}, Layout{8, "processes"}}) {
    const json got = generate(at(layout, model_, more), {{"TANDEM_TABLE", "portable"}, {"TANDEM_WINDOW_MB", "1"}});
    EXPECT_EQ(got["table"], "portable");
    EXPECT_EQ(got["token_ids"], wanted["token_ids"]);
    EXPECT_EQ(got["logits_sha256"], wanted["logits_sha256"]) << std::get<0>(layout) << " " << std::get<1>(layout);
  }
}

// The check above sees one wrong unit in the last place of one rank's partial sums.
TEST_F(AnyModel, OneFlippedBitChangesTheHash) {
  const std::vector<std::string> more = {"--max-tokens", "8", "--temperature", "1", "--seed", "7"};
  const json right = generate(at({2, "threads"}, model_, more));
  const json wrong = generate(at({2, "threads"}, model_, more), {{"TANDEM_FAULT", "flip:rank=1"}});
  EXPECT_NE(right["logits_sha256"], wrong["logits_sha256"]);
}

TEST_F(AnyModel, BitsDoNotDependOnThreadsOrPrefillChunks) {
  std::string prompt;
  for (int i = 0; i < 60; ++i) prompt += "the man and the day ";
  const std::vector<std::string> more = {"--prompt", prompt, "--max-tokens", "6"};
  const json wanted = generate(at({1, "threads"}, model_, more));
  EXPECT_GT(wanted["prompt_ids"].size(), 128u);
  auto threads = more;
  threads.insert(threads.end(), {"--threads", "3"});
  EXPECT_EQ(generate(at({2, "threads"}, model_, threads))["logits_sha256"], wanted["logits_sha256"]);
}

TEST_F(AnyModel, SeedDecidesTheText) {
  const auto text = [&](const char* seed) {
    return generate({"--model", model_, "--max-tokens", "24", "--temperature", "1", "--seed", seed})["token_ids"];
  };
  EXPECT_EQ(text("3"), text("3"));
  EXPECT_NE(text("3"), text("4"));
}

TEST_F(AnyModel, PlainOutputIsPromptAndText) {
  const std::vector<std::string> more = {"generate", "--model", model_, "--prompt", "The day", "--max-tokens", "12"};
  const Outcome plain = run(more);
  ASSERT_EQ(plain.exit_code, 0) << plain.err;
  const json whole = generate({"--model", model_, "--prompt", "The day", "--max-tokens", "12"});
  EXPECT_EQ(plain.out, "The day" + whole["text"].get<std::string>() + "\n");
  EXPECT_NE(plain.err.find("tokens/s"), std::string::npos);
  EXPECT_EQ(plain.out, run({"generate", "--model", model_, "--prompt", "The day", "--max-tokens", "12", "--ranks",
                            "processes", "--tp", "2"})
                           .out);
}

TEST_F(AnyModel, RepeatRunsThePromptAgain) {
  const Outcome once = run({"generate", "--model", model_, "--max-tokens", "5"});
  const Outcome thrice = run({"generate", "--model", model_, "--max-tokens", "5", "--repeat", "3", "--tp", "2"});
  EXPECT_EQ(thrice.out, once.out + once.out + once.out);
}

TEST_F(AnyModel, EndsAtTheContextAndAtNoTokens) {
  EXPECT_EQ(generate({"--model", model_, "--max-tokens", "0"})["token_ids"].size(), 0u);
  std::ifstream file(model_ + "/config.json");
  const auto context = json::parse(file)["max_position_embeddings"].get<size_t>();
  const json whole = generate({"--model", model_, "--max-tokens", "100000", "--ignore-eos"});
  EXPECT_EQ(whole["prompt_ids"].size() + whole["token_ids"].size(), context);
}

TEST(Tool, FindsTheEmbeddedModelByItself) {
  const std::string embedded = std::string(TANDEM_SOURCE_DIR) + "/model";
  ASSERT_EQ(any_model(), embedded);
  const json got = generate({"--max-tokens", "8"});
  EXPECT_EQ(got["token_ids"], generate({"--model", embedded, "--max-tokens", "8"})["token_ids"]);
  EXPECT_EQ(got["token_ids"].size(), 8u);
}

TEST(Tool, DoctorAndVersion) {
  const Outcome doctor = run({"doctor", "--json"}, {{"TANDEM_TABLE", "portable"}});
  ASSERT_EQ(doctor.exit_code, 0) << doctor.err;
  const json found = json::parse(doctor.out);
  EXPECT_EQ(found["tables"]["chosen"], "portable");
  EXPECT_GE(found["cpu"]["usable_cores"].get<int>(), 1);
  const auto set = [](const json& variable) {
    return variable["name"] == "TANDEM_TABLE" && variable["value"] == "portable";
  };
  EXPECT_TRUE(std::any_of(found["environment"].begin(), found["environment"].end(), set));
  EXPECT_NE(run({"doctor"}).out.find("kernel tables"), std::string::npos);
  EXPECT_EQ(run({"--version"}).out.substr(0, 7), "tandem ");
  for (const char* command : {"generate", "doctor"}) {
    const Outcome help = run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_NE(help.out.find("Example"), std::string::npos);
  }
}

}  // namespace
}  // namespace tandem::cli
