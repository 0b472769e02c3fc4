// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <string>

#include "tandem/comm/communicator.h"
#include "tandem/llm/generate.h"
#include "tandem/llm/tokenizer.h"

namespace tandem {
namespace {

using nlohmann::json;

const std::string kFolder = std::string(TANDEM_SOURCE_DIR) + "/model";
// Of a logit x: activations rounded to bf16 in four layers against float32, this times max(1, |x|).
constexpr double kTolerance = 0.05;
#ifdef TANDEM_SANITIZED
constexpr size_t kDocuments = 1;
#else
constexpr size_t kDocuments = 12;
#endif

std::string text_of(const std::string& name) {
  std::ifstream file(kFolder + "/training/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

GenerateResult run(const GenerateOptions& options) {
  const auto comms = Communicator::local(1);
  EXPECT_TRUE(comms) << comms.error().message;
  const auto generator = Generator::create({kFolder, 0, 0}, comms->front());
  EXPECT_TRUE(generator) << generator.error().message;
  auto result = (*generator)->run(options);
  EXPECT_TRUE(result) << result.error().message;
  return std::move(*result);
}

std::vector<int64_t> positions_below(size_t count) {
  std::vector<int64_t> positions(count);
  std::iota(positions.begin(), positions.end(), 0);
  return positions;
}

// -log of the probability of `token`.
double surprise(std::span<const float> logits, int32_t token) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum) - static_cast<double>(logits[static_cast<size_t>(token)]);
}

double surprise(const std::vector<int32_t>& ids) {
  GenerateOptions options;
  options.prompt = ids;
  options.max_tokens = 0;
  options.logits_at = positions_below(ids.size() - 1);
  const GenerateResult result = run(options);
  double nats = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) nats += surprise(result.logits.at(static_cast<int64_t>(i)), ids[i + 1]);
  return nats;
}

std::vector<std::string> documents() {
  std::string text = text_of("heldout.txt");
  if (text.ends_with('\n')) text.pop_back();
  std::vector<std::string> result;
  size_t begin = 0;
  for (size_t end = 0; end != std::string::npos; begin = end + 2) {
    end = text.find("\n\n", begin);
    result.push_back(text.substr(begin, end - begin));
  }
  return result;
}

// Each document begins with <s>, is cut to 512 ids and scored on its own, as model/training/evaluate.py does.
TEST(EmbeddedModel, BitsPerByteOfHeldOutText) {
  constexpr size_t kMostIds = 512;
  const auto tokenizer = Tokenizer::load(kFolder + "/tokenizer.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto texts = documents();
  ASSERT_EQ(texts.size(), 12u);
  double nats = 0;
  size_t bytes = 0, tokens = 0;
  for (size_t i = 0; i < kDocuments; ++i) {
    auto ids = tokenizer->encode(texts[i]);
    ids.resize(std::min(ids.size(), kMostIds));
    nats += surprise(ids);
    bytes += tokenizer->decode(ids).size();
    tokens += ids.size() - 1;
  }
  const double bits = nats / std::log(2.0) / static_cast<double>(bytes);
  std::cout << fmt::format("{:.4f} bits per byte over {} documents, {} tokens, {} bytes\n", bits, kDocuments, tokens,
                           bytes);
  EXPECT_LE(bits, 2.1);
  if (kDocuments < texts.size()) return;
  const json wanted = json::parse(text_of("metrics.json"))["heldout_excerpt"];
  EXPECT_EQ(tokens, wanted["scored_tokens"].get<size_t>());
  EXPECT_EQ(bytes, wanted["scored_bytes"].get<size_t>());
  EXPECT_NEAR(bits, wanted["bits_per_byte"].get<double>(), 0.01);
}

TEST(EmbeddedModel, LogitsOfTheFloat32Reference) {
  const json wanted = json::parse(text_of("reference.json"));
  const auto greedy = wanted["greedy"].get<std::vector<int32_t>>();
  GenerateOptions options;
  options.prompt.assign(greedy.begin(), greedy.begin() + 16);
  options.max_tokens = 0;
  options.logits_at = wanted["logits_positions"].get<std::vector<int64_t>>();
  const GenerateResult got = run(options);
  double largest = 0, largest_relative = 0;
  for (size_t row = 0; row < options.logits_at.size(); ++row) {
    const auto& logits = got.logits.at(options.logits_at[row]);
    const auto exact = wanted["logits"][row].get<std::vector<double>>();
    ASSERT_EQ(logits.size(), exact.size());
    for (size_t i = 0; i < exact.size(); ++i) {
      const double off = std::abs(static_cast<double>(logits[i]) - exact[i]);
      largest = std::max(largest, off);
      largest_relative = std::max(largest_relative, off / std::max(1.0, std::abs(exact[i])));
    }
  }
  std::cout << fmt::format("largest difference {:.4f}, of max(1, |x|) {:.4f}\n", largest, largest_relative);
  EXPECT_LE(largest_relative, kTolerance);
}

// Two roundings may choose differently where the two best logits lie within twice the tolerance, nowhere else.
TEST(EmbeddedModel, GreedyTextOfTheFloat32Reference) {
  const json wanted = json::parse(text_of("reference.json"));
  const auto greedy = wanted["greedy"].get<std::vector<int32_t>>();
  GenerateOptions options;
  options.prompt = wanted["prompt"].get<std::vector<int32_t>>();
  options.max_tokens = static_cast<int64_t>(greedy.size() - options.prompt.size());
  options.ignore_eos = true;
  options.logits_at = positions_below(greedy.size() - 1);
  const GenerateResult got = run(options);
  const std::span rest = std::span(greedy).subspan(options.prompt.size());
  ASSERT_EQ(got.tokens.size(), rest.size());
  const auto first = std::mismatch(rest.begin(), rest.end(), got.tokens.begin());
  const auto same = static_cast<size_t>(first.first - rest.begin());
  std::cout << fmt::format("{} of {} greedy ids equal\n", same, rest.size());
  if (same == rest.size()) return;
  const auto& logits = got.logits.at(static_cast<int64_t>(options.prompt.size() + same - 1));
  const auto chosen = static_cast<double>(logits[static_cast<size_t>(*first.second)]);
  const auto passed_over = static_cast<double>(logits[static_cast<size_t>(*first.first)]);
  EXPECT_LE(chosen - passed_over, 2 * kTolerance * std::max(1.0, std::abs(chosen)));
}

}  // namespace
}  // namespace tandem
