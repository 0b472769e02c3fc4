// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/elementary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tandem {
namespace {

TEST(Elementary, ExpFollowsTheLibrary) {
  for (double x = -700.0; x < 709.0; x += 0.3717) {
    const double wanted = std::exp(x);
    EXPECT_NEAR(elementary::exp(x) / wanted, 1.0, 2e-15) << x;
  }
  EXPECT_EQ(elementary::exp(0.0), 1.0);
  EXPECT_EQ(elementary::exp(-1e300), 0.0);
  EXPECT_TRUE(std::isinf(elementary::exp(1e300)));
  EXPECT_TRUE(std::isnan(elementary::exp(std::nan(""))));
}

TEST(Elementary, LogFollowsTheLibrary) {
  for (double x = 1e-12; x < 1e12; x *= 1.0137) {
    const double wanted = std::log(x);
    EXPECT_NEAR(elementary::log(x), wanted, 2e-15 * std::max(1.0, std::abs(wanted))) << x;
  }
  EXPECT_EQ(elementary::log(1.0), 0.0);
}

TEST(Elementary, SineAndCosineFollowTheLibrary) {
  for (double x = -1048576.0; x < 1048576.0; x += 13.7193) {
    const auto [sine, cosine] = elementary::sin_cos(x);
    EXPECT_NEAR(sine, std::sin(x), 1e-14) << x;
    EXPECT_NEAR(cosine, std::cos(x), 1e-14) << x;
  }
  for (double x = -4.0; x < 4.0; x += 0.0013) EXPECT_NEAR(elementary::sin_cos(x).sin, std::sin(x), 1e-15) << x;
}

}  // namespace
}  // namespace tandem
