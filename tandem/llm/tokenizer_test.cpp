// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/tokenizer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tandem/base/json.h"
#include "tandem/llm/random.h"
#include "tandem/llm/shared_data_test.h"
#include "tandem/llm/utf8.h"

namespace tandem {
namespace {

using nlohmann::json;

// Letters a to f and the space mark, byte tokens, and a few merges.
json small(bool pairs) {
  json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  int next = 259;
  for (const char* piece : {"\u2581", "a", "b", "c", "ab", "abc", "bc", "\u2581a", "\u2581ab", "aa", "\u00e9"})
    vocabulary[piece] = next++;
  const std::vector<std::pair<std::string, std::string>> sides = {{"a", "b"},      {"b", "c"},       {"ab", "c"},
                                                                  {"\u2581", "a"}, {"\u2581", "ab"}, {"a", "a"}};
  json merges = json::array();
  for (const auto& [left, right] : sides) merges.push_back(pairs ? json({left, right}) : json(left + " " + right));
  const json made = {
      {"added_tokens",
       {{{"id", 1}, {"content", "<s>"}, {"special", true}}, {{"id", 2}, {"content", "</s>"}, {"special", true}}}},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", "\u2581"}},
          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}}}}},
      {"pre_tokenizer", nullptr},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
        {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}}}}},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders",
         {{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
          {{"type", "ByteFallback"}},
          {{"type", "Fuse"}},
          {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
      {"model",
       {{"type", "BPE"}, {"unk_token", "<unk>"}, {"byte_fallback", true}, {"vocab", vocabulary}, {"merges", merges}}}};
  return json::parse(made.dump());  // numbers as a file has them
}

Tokenizer made(const json& source) {
  auto tokenizer = Tokenizer::parse(source, "t");
  if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
  return *tokenizer;
}

std::vector<int32_t> ids_of(const Tokenizer& tokenizer, std::initializer_list<const char*> pieces) {
  std::vector<int32_t> ids;
  for (const char* piece : pieces) ids.push_back(tokenizer.find(piece).value_or(-1));
  return ids;
}

TEST(Tokenizer, MergesByRankThenFromTheLeft) {
  for (const bool pairs : {false, true}) {
    const Tokenizer t = made(small(pairs));
    EXPECT_EQ(t.encode("abc"), ids_of(t, {"<s>", "\u2581", "abc"}));
    EXPECT_EQ(t.encode("ab", false), ids_of(t, {"\u2581ab"}));
    EXPECT_EQ(t.encode("caaa", false), ids_of(t, {"\u2581", "c", "aa", "a"}));
    EXPECT_EQ(t.encode("a a", false), ids_of(t, {"\u2581a", "\u2581a"}));
    EXPECT_EQ(t.encode(""), ids_of(t, {"<s>"}));
  }
}

TEST(Tokenizer, UnknownCharactersBecomeBytes) {
  const Tokenizer t = made(small(false));
  EXPECT_EQ(t.encode("\u20ac", false), ids_of(t, {"\u2581", "<0xE2>", "<0x82>", "<0xAC>"}));
  EXPECT_EQ(t.encode("\u00e9\n", false), ids_of(t, {"\u2581", "\u00e9", "<0x0A>"}));
  EXPECT_EQ(t.encode("\xff\x80", false), ids_of(t, {"\u2581", "<0xFF>", "<0x80>"}));
}

TEST(Tokenizer, SpecialTokensInTextAreSpecial) {
  const Tokenizer t = made(small(false));
  EXPECT_EQ(t.encode("a</s>a", false), ids_of(t, {"\u2581a", "</s>", "\u2581a"}));
  EXPECT_EQ(t.decode(t.encode("ab</s>")), "ab");
}

TEST(Tokenizer, DecodeUndoesEncode) {
  const Tokenizer t = made(small(false));
  for (const char* text : {"abc a", " a", "  ", "x\u20acy", "a\nb", "\U0001F999 a"})
    EXPECT_EQ(t.decode(t.encode(text)), text);
}

TEST(TextStream, HoldsBackUnfinishedCharacters) {
  const Tokenizer t = made(small(false));
  TextStream stream(t);
  EXPECT_EQ(stream.push(*t.find("<0xE2>")), "");
  EXPECT_EQ(stream.push(*t.find("<0x82>")), "");
  EXPECT_EQ(stream.push(*t.find("<0xAC>")), "\u20ac");
  EXPECT_EQ(stream.push(*t.find("<0xF0>")), "");
  EXPECT_EQ(stream.push(*t.find("a")), "\ufffda");
  EXPECT_EQ(stream.push(*t.find("<0xC3>")), "");
  EXPECT_EQ(stream.finish(), "\ufffd");
}

TEST(TextStream, StripsOneSpaceAtTheStartOnly) {
  const Tokenizer t = made(small(false));
  TextStream stream(t);
  EXPECT_EQ(stream.push(1), "");
  EXPECT_EQ(stream.push(*t.find("\u2581a")), "a");
  EXPECT_EQ(stream.push(*t.find("\u2581a")), " a");
  EXPECT_EQ(stream.push(-1), "");
  EXPECT_EQ(stream.push(1 << 30), "");
}

TEST(Utf8, FollowsTheTableOfWellFormedSequences) {
  using Kind = Utf8Start::Kind;
  EXPECT_EQ(utf8_start("\xc0\x80").kind, Kind::broken);
  EXPECT_EQ(utf8_start("\xe0\x80\x80").kind, Kind::broken);
  EXPECT_EQ(utf8_start("\xed\xa0\x80").kind, Kind::broken);
  EXPECT_EQ(utf8_start("\xf5\x80\x80\x80").kind, Kind::broken);
  EXPECT_EQ(utf8_start("\xf0\x9f\xa6").kind, Kind::incomplete);
  EXPECT_EQ(utf8_start("\xf0\x9f\xa6\x99").bytes, 4u);
}

TEST(Tokenizer, RefusesWhatItCannotFollow) {
  const auto refused = [](const char* path, const json& value) {
    json source = small(false);
    source[json::json_pointer(path)] = json::parse(value.dump());
    return !Tokenizer::parse(source, "t").has_value();
  };
  EXPECT_TRUE(refused("/model/type", "Unigram"));
  EXPECT_TRUE(refused("/model/vocab/a", -1));
  EXPECT_TRUE(refused("/model/vocab/a", 1));
  EXPECT_TRUE(refused("/model/vocab/a", 1u << 31));
  EXPECT_TRUE(refused("/model/vocab/a", "x"));
  EXPECT_TRUE(refused("/model/merges/0", "a"));
  EXPECT_TRUE(refused("/model/merges/0", "a z"));
  EXPECT_TRUE(refused("/model/merges/0", json::array({"a"})));
  EXPECT_TRUE(refused("/model/unk_token", "nowhere"));
  EXPECT_TRUE(refused("/pre_tokenizer", {{"type", "Metaspace"}}));
  EXPECT_TRUE(refused("/normalizer", {{"type", "NFKC"}}));
  EXPECT_TRUE(refused("/decoder", {{"type", "WordPiece"}}));
  EXPECT_TRUE(refused("/post_processor/special_tokens", json::object()));
  EXPECT_TRUE(refused("/post_processor/special_tokens/<s>/ids/0", 100000));
  EXPECT_TRUE(refused("/added_tokens/0/id", 7));
  EXPECT_TRUE(refused("/added_tokens/0/lstrip", true));
  EXPECT_FALSE(Tokenizer::parse(json::array(), "t"));
  json source = small(false);
  source["model"]["vocab"].erase("<0x41>");
  EXPECT_FALSE(Tokenizer::parse(source, "t"));
}

// A file of a few kilobytes must not turn a short text into gigabytes.
TEST(Tokenizer, RefusesTextThatGrowsWithoutMeasure) {
  const auto doubling = [](int times) {
    json steps = json::array();
    for (int i = 0; i < times; ++i)
      steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
    return steps;
  };
  const auto refusal = [](const char* part, const char* list, const json& steps) {
    json source = small(false);
    source[part] = {{"type", "Sequence"}, {list, steps}};
    const auto parsed = Tokenizer::parse(json::parse(source.dump()), "t");
    return parsed ? std::string() : parsed.error().message;
  };
  EXPECT_EQ(refusal("normalizer", "normalizers", doubling(8)), "");
  EXPECT_EQ(refusal("normalizer", "normalizers", doubling(40)), "t: normalizer: text grows more than 256 fold");
  EXPECT_EQ(refusal("decoder", "decoders", doubling(8)), "");
  EXPECT_EQ(refusal("decoder", "decoders", doubling(40)), "t: decoder: text grows more than 256 fold");
  json prepends = json::array();
  for (int i = 0; i < 40; ++i) prepends.push_back({{"type", "Prepend"}, {"prepend", "aaa"}});
  EXPECT_NE(refusal("normalizer", "normalizers", prepends), "");
  json source = small(false);
  const json::json_pointer ids("/post_processor/special_tokens/<s>/ids");
  source[ids] = std::vector<unsigned>(64, 1);
  EXPECT_EQ(made(source).encode("").size(), 64u);
  source[ids] = std::vector<unsigned>(65, 1);
  EXPECT_FALSE(Tokenizer::parse(source, "t"));
}

// Merging by the definition: again and again the pair of lowest rank, leftmost first.
std::vector<std::string> merged_plainly(std::vector<std::string> pieces,
                                        const std::map<std::pair<std::string, std::string>, int>& ranks) {
  while (true) {
    int best_rank = INT32_MAX;
    size_t best = 0;
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      const auto found = ranks.find({pieces[i], pieces[i + 1]});
      if (found != ranks.end() && found->second < best_rank) {
        best_rank = found->second;
        best = i;
      }
    }
    if (best_rank == INT32_MAX) return pieces;
    pieces[best] += pieces[best + 1];
    pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

void expect_equals_plain_merging(const std::string& path) {
  const auto tokenizer = Tokenizer::load(path);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const json source = *read_json(path, 64u << 20);
  std::map<std::pair<std::string, std::string>, int> ranks;
  for (const json& merge : source["model"]["merges"]) {
    const std::string text =
        merge.is_string() ? merge.get<std::string>() : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    const size_t space = text.find(' ');
    ranks.emplace(std::pair(text.substr(0, space), text.substr(space + 1)), static_cast<int>(ranks.size()));
  }
  Random random(5);
  constexpr std::string_view kLetters = "etaoinshrdlu etaoin the and ,.TOnce";
  for (int round = 0; round < 200; ++round) {
    std::string text;
    std::vector<std::string> pieces = {"\u2581"};
    for (size_t i = 0; i < 120; ++i) {
      const char letter = kLetters[random.next() % kLetters.size()];
      text += letter;
      pieces.push_back(letter == ' ' ? "\u2581" : std::string(1, letter));
    }
    std::vector<int32_t> wanted;
    for (const std::string& piece : merged_plainly(pieces, ranks))
      wanted.push_back(tokenizer->find(piece).value_or(-1));
    ASSERT_EQ(tokenizer->encode(text, false), wanted) << text;
    ASSERT_EQ(tokenizer->decode(wanted), text);
  }
}

TEST(Tokenizer, EmbeddedModelEqualsPlainMerging) {
  expect_equals_plain_merging(std::string(TANDEM_SOURCE_DIR) + "/model/tokenizer.json");
}

TEST(Tokenizer, Stories260kEqualsPlainMerging) {
  if (!has_test_data("stories260K-hf")) GTEST_SKIP() << "TANDEM_TEST_DATA has no stories260K-hf";
  expect_equals_plain_merging(test_data("stories260K-hf/tokenizer.json"));
}

TEST(Tokenizer, VectorsOfAnotherImplementation) {
  if (!has_test_data("tokenizers/vectors.json")) GTEST_SKIP() << "TANDEM_TEST_DATA has no tokenizers/vectors.json";
  const auto tokenizer = Tokenizer::load(test_data("tokenizers/mistral_v1/tokenizer.json"));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  std::ifstream file(test_data("tokenizers/vectors.json"));
  const json vectors = json::parse(file);
  for (size_t i = 0; i < vectors["texts"].size(); ++i) {
    const auto text = vectors["texts"][i].get<std::string>();
    EXPECT_EQ(tokenizer->encode(text, false), vectors["mistral_v1"][i].get<std::vector<int32_t>>()) << text;
  }
}

}  // namespace
}  // namespace tandem
