// SPDX-License-Identifier: Apache-2.0
// The reference itself: it takes the right result and refuses one that is a unit in the last place away.
#include "tandem/check/fused_oracle.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/fused/checks.h"

namespace tandem::fused {
namespace {

Problem typical(DType dtype) {
  Problem p;
  p.dtype = p.output = dtype;
  return p;
}

void move_one_ulp(std::vector<std::byte>& bytes, size_t element) {
  auto* bits = reinterpret_cast<uint16_t*>(bytes.data());
  ++bits[element];
}

TEST(Oracle, SeesOneUnitInTheLastPlace) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const Problem p = typical(dtype);
    const auto data = make_ranks(p);
    const Reference wanted = reference(p, data, 0);
    const auto results = Groups().run(p, data);
    ASSERT_TRUE(results.has_value()) << results.error().message;
    Outputs got = results->front();
    EXPECT_EQ(compare_result(p, wanted, got.y, got.norm), "");
    int seen = 0;
    for (size_t element = 0; element < 64; ++element) {
      Outputs wrong = got;
      move_one_ulp(wrong.y, element);
      seen += compare_result(p, wanted, wrong.y, wrong.norm).empty() ? 0 : 1;
    }
    // A result that rounded by nearly half a unit the other way hides the step in the bound of the sum.
    EXPECT_GE(seen, 43) << dtype_name(dtype);
  }
}

TEST(Oracle, SeesTruncationByItsMean) {
  std::vector<double> wanted, bound;
  std::vector<std::byte> truncated(2048);
  for (size_t i = 0; i < 1024; ++i) {
    wanted.push_back(1 + static_cast<double>(i) * 0x1p-14);
    bound.push_back(0x1p-9);
    store(DType::f16, truncated.data(), static_cast<int64_t>(i), wanted.back() - 0x1p-11);
  }
  EXPECT_NE(compare(DType::f16, truncated, wanted, bound, true, "y"), "");
  EXPECT_EQ(compare(DType::f16, truncated, wanted, bound, false, "y"), "");
}

TEST(Oracle, TreatsOverflowAndNaNAsTheFormatDoes) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> wanted{70000, -70000, 65504, nan}, bound{1, 1, 1, 1};
  std::vector<std::byte> bytes(8);
  const auto set = [&](std::vector<double> values) {
    for (size_t i = 0; i < 4; ++i) store(DType::f16, bytes.data(), static_cast<int64_t>(i), values[i]);
    return compare(DType::f16, bytes, wanted, bound, false, "y");
  };
  EXPECT_EQ(set({inf, -inf, 65504, nan}), "");
  EXPECT_NE(set({-inf, -inf, 65504, nan}), "");
  EXPECT_NE(set({inf, -inf, inf, nan}), "");
  EXPECT_NE(set({inf, -inf, 65504, 0}), "");
}

}  // namespace
}  // namespace tandem::fused
