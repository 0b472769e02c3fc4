// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace tandem {
namespace {

TEST(Random, SplitMixGivesItsPublishedNumbers) {
  SplitMix64 spread{1234567};
  EXPECT_EQ(spread.next(), 6457827717110365317ull);
  EXPECT_EQ(spread.next(), 3203168211198807973ull);
  EXPECT_EQ(spread.next(), 9817491932198370423ull);
}

TEST(Random, XoshiroGivesItsPublishedNumbers) {
  Random random(0);
  random.state = {1, 2, 3, 4};
  for (const uint64_t wanted : {11520ull, 0ull, 1509978240ull, 1215971899390074240ull}) {
    EXPECT_EQ(random.next(), wanted);
  }
}

TEST(Random, UniformStaysBelowOne) {
  Random random(3);
  double mean = 0;
  for (int i = 0; i < 100000; ++i) {
    const double value = random.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    mean += value / 100000;
  }
  EXPECT_NEAR(mean, 0.5, 0.005);
}

TEST(Sampler, ZeroTemperatureTakesTheFirstLargest) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Sampler(0, 1).pick(std::array{1.f, 3.f, 3.f, 2.f}), 1);
  EXPECT_EQ(Sampler(0, 1).pick(std::array{nan, -3.f, -2.f}), 2);
  EXPECT_EQ(Sampler(0, 1).pick(std::array{nan, nan}), 0);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const std::array logits{0.f, std::log(2.f), std::log(5.f), std::numeric_limits<float>::quiet_NaN()};
  Sampler sampler(1.0, 42);
  std::array<int, 4> counts{};
  for (int i = 0; i < 80000; ++i) ++counts[static_cast<size_t>(sampler.pick(logits))];
  EXPECT_NEAR(counts[0], 10000, 400);
  EXPECT_NEAR(counts[1], 20000, 500);
  EXPECT_NEAR(counts[2], 50000, 600);
  EXPECT_EQ(counts[3], 0);
}

TEST(Sampler, LowTemperatureSharpens) {
  const std::array logits{0.f, 1.f};
  Sampler sampler(0.05, 9);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(sampler.pick(logits), 1);
}

TEST(Sampler, SameSeedSameTokens) {
  const std::array logits{0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
  Sampler one(1.0, 7);
  Sampler two(1.0, 7);
  Sampler other(1.0, 8);
  int differences = 0;
  for (int i = 0; i < 200; ++i) {
    const int32_t token = one.pick(logits);
    EXPECT_EQ(token, two.pick(logits));
    differences += token != other.pick(logits);
  }
  EXPECT_GT(differences, 50);
}

TEST(Sampler, InfiniteLogitWins) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Sampler(1.0, 1).pick(std::array{0.f, infinity, 3.f}), 1);
  EXPECT_EQ(Sampler(1.0, 1).pick(std::array{-infinity, -infinity, -3.f}), 2);
}

}  // namespace
}  // namespace tandem
