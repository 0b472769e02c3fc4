// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/generate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>
#include <thread>

#include "tandem/comm/communicator.h"
#include "tandem/llm/plain_model_test.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

struct Kind {
  const char* dtype;
  double tolerance;  // of the largest logit: f32 rounding; several roundings to 11 or 8 bits in each layer
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.dtype; }

class RandomModel : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tandem-model-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    model_.save(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Every rank's result of one run on thread ranks.
  std::vector<GenerateResult> run(int ranks, const GenerateOptions& options) const {
    const auto comms = Communicator::local(ranks);
    EXPECT_TRUE(comms) << comms.error().message;
    std::vector<GenerateResult> results(static_cast<size_t>(ranks));
    std::vector<std::thread> threads;
    for (size_t rank = 0; rank < results.size(); ++rank) {
      threads.emplace_back([&, rank] {
        auto generator = Generator::create({folder_.string(), 1, 0}, (*comms)[rank]);
        ASSERT_TRUE(generator) << generator.error().message;
        auto result = (*generator)->run(options);
        ASSERT_TRUE(result) << result.error().message;
        results[rank] = std::move(*result);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return results;
  }

  PlainModel model_{GetParam().dtype};
  fs::path folder_;
};

// 150 tokens: more than one step of prefill, and ten blocks of the cache.
std::vector<int32_t> some_tokens() {
  std::vector<int32_t> tokens = {1};
  Random random(3);
  while (tokens.size() < 150) tokens.push_back(static_cast<int32_t>(random.next() % PlainModel::kVocabulary));
  return tokens;
}

TEST_P(RandomModel, LogitsFollowThePlainForward) {
  GenerateOptions options;
  options.prompt = some_tokens();
  options.max_tokens = 3;
  options.ignore_eos = true;
  options.logits_at = {0, 1, 16, 127, 128, 149, 150, 151};
  for (const int ranks : {1, 2, 5, 8}) {
    const auto results = run(ranks, options);
    std::vector<int32_t> tokens = options.prompt;
    tokens.insert(tokens.end(), results[0].tokens.begin(), results[0].tokens.end());
    const auto wanted = model_.forward(tokens);
    for (const GenerateResult& result : results) EXPECT_EQ(result.tokens, results[0].tokens);
    ASSERT_EQ(results[0].logits.size(), options.logits_at.size());
    for (const auto& [position, row] : results[0].logits) {
      const auto& plain = wanted[static_cast<size_t>(position)];
      const double largest = *std::max_element(plain.begin(), plain.end());
      for (size_t i = 0; i < row.size(); ++i) {
        ASSERT_NEAR(row[i], plain[i], GetParam().tolerance * largest) << ranks << " ranks, position " << position;
      }
    }
  }
}

TEST_P(RandomModel, RanksAgreeOnEveryBit) {
  GenerateOptions options;
  options.prompt = {1, 5, 9};
  options.max_tokens = 40;
  options.temperature = 1;
  options.seed = 7;
  options.ignore_eos = true;
  options.hash_logits = true;
  const auto wanted = run(1, options).front();
  EXPECT_EQ(wanted.tokens.size(), 40u);
  for (const GenerateResult& result : run(2, options)) {
    EXPECT_EQ(result.tokens, wanted.tokens);
    EXPECT_EQ(result.logits_sha256, wanted.logits_sha256);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, RandomModel, testing::Values(Kind{"F32", 2e-5}, Kind{"F16", 2e-2}, Kind{"BF16", 1e-1}),
                         [](const auto& kind) { return std::string(kind.param.dtype); });

using Refusals = RandomModel;
TEST_P(Refusals, PromptsOutsideTheModel) {
  const auto comms = Communicator::local(1);
  ASSERT_TRUE(comms);
  auto generator = Generator::create({folder_.string(), 1, 10}, comms->front());
  ASSERT_TRUE(generator);
  EXPECT_FALSE((*generator)->run({.prompt = {}}));
  EXPECT_FALSE((*generator)->run({.prompt = {1, PlainModel::kVocabulary}}));
  EXPECT_FALSE((*generator)->run({.prompt = {-1}}));
  EXPECT_FALSE((*generator)->run({.prompt = std::vector<int32_t>(11, 1)}));
  const auto full = (*generator)->run({.prompt = {1}, .max_tokens = 100, .ignore_eos = true});
  ASSERT_TRUE(full);
  EXPECT_EQ(full->tokens.size(), 9u);
}
INSTANTIATE_TEST_SUITE_P(F32, Refusals, testing::Values(Kind{"F32", 0}));

}  // namespace
}  // namespace tandem
