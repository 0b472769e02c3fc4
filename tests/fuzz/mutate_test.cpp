// SPDX-License-Identifier: Apache-2.0
// Thousands of small damages to well-formed inputs, the same ones in every run; sanitizer builds make them count.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/fuzz/parsers.h"

namespace tandem::fuzz {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  size_t below(size_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<size_t>(state_ % limit);
  }

 private:
  uint64_t state_;
};

constexpr std::string_view kWords[] = {"-1", "1e999", "18446744073709551615", "9223372036854775808", "null", "[[[[", "{",
                                       "\"\\u0000\"", "\xef\xbb\xbf", "true", "0.5", "\"\\ud800\"", "[]", "NaN", "/*"};

std::string damage(std::string text, Random& random) {
  const size_t rounds = 1 + random.below(4);
  for (size_t i = 0; i < rounds && !text.empty(); ++i) {
    const size_t place = random.below(text.size());
    switch (random.below(5)) {
      case 0: text[place] = static_cast<char>(random.below(256)); break;
      case 1: text.erase(place, 1 + random.below(20)); break;
      case 2: text.insert(place, kWords[random.below(std::size(kWords))]); break;
      case 3: text.insert(place, text.substr(random.below(text.size()), random.below(40))); break;
      default: text.resize(place); break;
    }
  }
  return text;
}

TEST(Parsers, SeedsAreAccepted) {
  for (const Parser& parser : parsers()) EXPECT_TRUE(parser.accepts(parser.seed)) << parser.name;
}

TEST(Parsers, DamagedInputIsAnErrorAndNeverACrash) {
  constexpr int kRounds = 5000;
  for (const Parser& parser : parsers()) {
    Random random(0x9e3779b97f4a7c15u);
    int refused = 0;
    for (int round = 0; round < kRounds; ++round) {
      refused += parser.accepts(damage(std::string(parser.seed), random)) ? 0 : 1;
    }
    EXPECT_GT(refused, kRounds / 4) << parser.name;
  }
}

TEST(Parsers, DeepNestingIsRefused) {
  const std::string deep(200'000, '[');
  for (const Parser& parser : parsers()) EXPECT_FALSE(parser.accepts(deep)) << parser.name;
}

}  // namespace
}  // namespace tandem::fuzz
