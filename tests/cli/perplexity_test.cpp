// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

using nlohmann::json;

json perplexity(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"perplexity", "--json"});
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return json::parse(outcome.out, nullptr, false);
}

std::string stories(const std::string& model) {
  return std::filesystem::path(model).parent_path() / "text/eval_tinystories_96.jsonl";
}

class Protocol : public testing::TestWithParam<int> {};

TEST_P(Protocol, FloatModelOnThirtyTwoStories) {
  const std::string model = shared_model("stories260K-hf");
  if (model.empty()) GTEST_SKIP() << "TANDEM_TEST_DATA has no stories260K-hf";
  const json got =
      perplexity({"--model", model, "--data", stories(model), "--stories", "32", "--tp", std::to_string(GetParam())});
  EXPECT_NEAR(got["perplexity"].get<double>(), 3.6809, 0.0005);
  EXPECT_EQ(got["tokens"], 6045);
}
INSTANTIATE_TEST_SUITE_P(Ranks, Protocol, testing::Values(1, 2, 3));

// Experts with a scale per token, attention with static scales, floating router.
TEST(Perplexity, VendorFolderOfMixedTypes) {
  const std::string model = shared_model("stories260K-moe4top2-w8a8-ascendv1");
  if (model.empty()) GTEST_SKIP() << "TANDEM_TEST_DATA has no stories260K-moe4top2-w8a8-ascendv1";
  const std::string against = shared_model("stories260K-moe4top2");
  const json got = perplexity({"--model", model, "--against", against, "--data", stories(model), "--stories", "32"});
  EXPECT_NEAR(got["perplexity"].get<double>(), 5.043, 0.01);
  EXPECT_LE(got["kl_per_token"].get<double>(), 0.014);
  EXPECT_GE(got["top1_agreement"].get<double>(), 0.95);
}

TEST(Perplexity, AModelAgainstItself) {
  const std::string model = any_model();
  const std::string data = testing::TempDir() + "tandem-texts.jsonl";
  std::ofstream(data) << "{\"text\":\"In the beginning\"}\n\n{\"inputs_pretokenized\":\"And it came to pass\"}\n";
  const std::string page = testing::TempDir() + "tandem-page.html";
  const json got = perplexity({"--model", model, "--against", model, "--data", data, "--tp", "2", "--report", page});
  EXPECT_EQ(got["stories"], 2);
  EXPECT_EQ(got["kl_per_token"], 0.0);
  EXPECT_EQ(got["top1_agreement"], 1.0);
  EXPECT_EQ(got["perplexity"], got["against_perplexity"]);
  for (const auto& rate : got.value("expert_flip_rate", json::array())) EXPECT_EQ(rate, 0.0);
  EXPECT_NE(file_bytes(page).find("Error of the hidden state"), std::string::npos);
}

TEST(Perplexity, RefusesTextsItCannotRead) {
  const std::string data = testing::TempDir() + "tandem-no-texts.jsonl";
  std::ofstream(data) << "{\"text\":\"a\"}\n{\"words\":1}\n";
  const Outcome outcome = run({"perplexity", "--model", any_model(), "--data", data});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find(":2: \"text\" or \"inputs_pretokenized\" wanted"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace tandem::cli
