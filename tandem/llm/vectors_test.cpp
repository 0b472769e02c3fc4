// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tandem/llm/shared_data_test.h"
#include "tandem/llm/split.h"
#include "tandem/llm/tokenizer_model.h"

namespace tandem {
namespace {

using nlohmann::json;

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Strings and the ids that another implementation gives them, of two files; the last string ends with the file.
void expect_pairs(const Tokenizer& tokenizer, const std::string& base) {
  const std::string input = file_text(base + ".inp");
  std::istringstream output(file_text(base + ".out"));
  constexpr std::string_view kBorder = "\n__ggml_vocab_test__\n";
  size_t begin = 0, count = 0;
  for (std::string line; std::getline(output, line); ++count) {
    const size_t end = std::min(input.find(kBorder, begin), input.size());
    if (end == input.size()) break;
    std::istringstream numbers(line);
    const std::vector<int32_t> ids{std::istream_iterator<int32_t>(numbers), {}};
    const std::string text = input.substr(begin, end - begin);
    EXPECT_EQ(tokenizer.encode(text, false), ids) << text;
    begin = end + kBorder.size();
  }
  EXPECT_GE(count, 45u);
}

// A tokenizer of the test data, and the name of the list of pairs that it must reproduce.
struct Family {
  const char* folder;
  const char* pairs;
};

class Vectors : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    folder_ = test_data("tokenizers");
    if (!has_test_data("tokenizers")) GTEST_SKIP() << "TANDEM_TEST_DATA has no tokenizers";
#ifdef TANDEM_SANITIZED
    if (std::string_view(GetParam().folder) != "gpt2") GTEST_SKIP() << "the small vocabulary is enough here";
#endif
    if (!composition_available()) GTEST_SKIP() << "this build has no PCRE2 and utf8proc";
    auto loaded = Tokenizer::load(folder_ + "/" + GetParam().folder + "/tokenizer.json");
    ASSERT_TRUE(loaded) << loaded.error().message;
    tokenizer_ = std::move(*loaded);
  }

  std::string folder_;
  Tokenizer tokenizer_;
};

// Reading a vocabulary is what takes time, so one test looks at all.
TEST_P(Vectors, OfOtherImplementations) {
  const json vectors = json::parse(file_text(folder_ + "/vectors.json"));
  const auto texts = vectors["texts"].get<std::vector<std::string>>();
  const auto ids = vectors[GetParam().folder].get<std::vector<std::vector<int32_t>>>();
  ASSERT_EQ(texts.size(), ids.size());
  for (size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(tokenizer_.encode(texts[i], false), ids[i]) << i << ": " << texts[i];
  if (GetParam().pairs != nullptr) {
    expect_pairs(tokenizer_, folder_ + "/gguf-vocab/ggml-vocab-" + GetParam().pairs + ".gguf");
  }
  for (const std::string_view text : {"Hello, world!\n\n  x = 3.14;", "Größe 北京 \xf0\x9f\xa6\x99 naïve", " a\tb"}) {
    EXPECT_EQ(tokenizer_.decode(tokenizer_.encode(text, false)), text);
  }
}

TEST(TokenizerModel, PairsOfStrings) {
  if (!has_test_data("tokenizers")) GTEST_SKIP() << "TANDEM_TEST_DATA has no tokenizers";
  const auto tokenizer = load_tokenizer(test_data("tokenizers/llama2"));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expect_pairs(*tokenizer, test_data("tokenizers/gguf-vocab/ggml-vocab-llama-spm.gguf"));
}

INSTANTIATE_TEST_SUITE_P(Families, Vectors,
                         testing::Values(Family{"gpt2", "gpt-2"}, Family{"llama3", "llama-bpe"},
                                         Family{"qwen3", "qwen2"}, Family{"mistral_v1", nullptr},
                                         Family{"deepseek_v3", nullptr}),
                         [](const auto& family) { return std::string(family.param.folder); });

}  // namespace
}  // namespace tandem
