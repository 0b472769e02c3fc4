// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tandem/kernels/test_data.h"

#define TANDEM_ISA portable
#define TANDEM_ISA_IS_portable 1
#include "tandem/kernels/cpu/vec.h"

namespace tandem::testing {
namespace {

uint32_t canonical_bits(float v) { return float_bits(canonical(v)); }

float soft_fma(float a, float b, float c) {
  return portable::first_lane(portable::fma(portable::set(a), portable::set(b), portable::set(c)));
}

TEST(Properties, SoftwareFmaOnAnyBits) {
  EXPECT_TRUE(rc::check("fma of any three bit patterns", [](uint32_t a, uint32_t b, uint32_t c) {
    const float x = float_from_bits(a * 2654435761u), y = float_from_bits(b * 2246822519u), z = float_from_bits(c * 3266489917u);
    RC_ASSERT(canonical_bits(std::fma(x, y, z)) == canonical_bits(soft_fma(x, y, z)));
  }));
}

TEST(Properties, TreeSumIsTheRecursiveTree) {
  EXPECT_TRUE(rc::check("binary counter equals recursion", [](const std::vector<int16_t>& numbers) {
    RC_PRE(!numbers.empty());
    std::vector<float> v;
    portable::TreeSum sum;
    for (const int16_t number : numbers) {
      v.push_back(1.0f / (static_cast<float>(number) + 0.5f));
      sum.push(portable::set(v.back()));
    }
    RC_ASSERT(float_bits(tree(v.data(), v.size())) == float_bits(portable::first_lane(sum.finish())));
  }));
}

}  // namespace
}  // namespace tandem::testing
