// SPDX-License-Identifier: Apache-2.0
// The vendor's later forms of routing: quantised rows, scales and weights that go with them, experts of one rank alone.
#include <aclnnop/aclnn_moe_init_routing_quant.h>
#include <aclnnop/aclnn_moe_init_routing_quant_v2.h>
#include <aclnnop/aclnn_moe_init_routing_v3.h>
#include <aclnnop/aclnn_moe_init_routing_v4.h>
#include <aclnnop/aclnn_moe_token_permute.h>
#include <aclnnop/aclnn_moe_token_unpermute.h>
#include <gtest/gtest.h>

#include "tests/ops/vendor_values_test.h"

namespace tandem::ops_test {
namespace {

using Floats = std::vector<float>;
using Bytes8 = std::vector<int8_t>;
using Words = std::vector<int32_t>;
using Longs = std::vector<int64_t>;

// Three tokens of two columns, two experts each; sorted by expert: slots 2 4 (0), 0 3 (1), 1 5 (2).
const Floats kTokens = {1, 2, 3, 4, 5, 6};
const Words kExperts = {1, 2, 0, 1, 0, 2};
const Words kPlaces = {2, 4, 0, 3, 1, 5}, kOrder = {2, 4, 0, 3, 1, 5};

TEST(RoutingChains, QuantisedRowsByNumbers) {
  const Values x(ACL_FLOAT, {3, 2}, kTokens), expert(ACL_INT32, {3, 2}, kExperts);
  const Values row(ACL_INT32, {3, 2}, Words{0, 3, 1, 4, 2, 5}), rows(ACL_INT8, {6, 2}, Bytes8(12));
  const Values place(ACL_INT32, {6}, Words(6)), sorted(ACL_INT32, {6}, Words(6));
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnMoeInitRoutingQuantGetWorkspaceSize(x.get(), row.get(), expert.get(), 3, 2.0, -1.0,
                                                                  rows.get(), place.get(), sorted.get(), size, run);
                },
                aclnnMoeInitRoutingQuant),
            0)
      << group_a::recent_error();
  EXPECT_EQ(rows.read<int8_t>(), (Bytes8{5, 7, 9, 11, 1, 3, 5, 7, 1, 3, 9, 11}));
  EXPECT_EQ(sorted.read<int32_t>(), (Words{0, 0, 1, 1, 2, 2}));
}

int quantised(const Values& x, const Values& expert, const Values* scale, const Values* offset, int64_t mode, bool pads,
              const Values& rows, const Values& place, const Values& counts, const Values& scales) {
  const auto of = [](const Values* values) { return values == nullptr ? nullptr : values->get(); };
  return both(
      [&](auto* size, auto* run) {
        return aclnnMoeInitRoutingQuantV2GetWorkspaceSize(
            x.get(), expert.get(), of(scale), of(offset), 0, pads ? 1 : 0, 3, pads ? 1 : 0, pads ? 0 : 1, pads, mode,
            rows.get(), place.get(), counts.get(), counts.get(), scales.get(), size, run);
      },
      aclnnMoeInitRoutingQuantV2);
}

TEST(RoutingChains, QuantisedRowsOfPaddedExperts) {
  const Values x(ACL_FLOAT, {3, 2}, kTokens), expert(ACL_INT32, {3, 2}, kExperts), one(ACL_FLOAT, {1}, Floats{2});
  const Values added(ACL_FLOAT, {1}, Floats{-1}), rows(ACL_INT8, {3, 1, 2}, Bytes8(6)), place(ACL_INT32, {6}, Words(6));
  const Values counts(ACL_INT32, {3}, Words(3)), scales(ACL_FLOAT, {3}, Floats(3));
  ASSERT_EQ(quantised(x, expert, &one, &added, 0, true, rows, place, counts, scales), 0) << group_a::recent_error();
  EXPECT_EQ(rows.read<int8_t>(), (Bytes8{5, 7, 1, 3, 1, 3}));
  EXPECT_EQ(place.read<int32_t>(), (Words{1, 2, 0, -1, -1, -1}));
  EXPECT_EQ(counts.read<int32_t>(), (Words{2, 2, 2}));
  EXPECT_EQ(quantised(x, expert, nullptr, nullptr, 0, true, rows, place, counts, scales), 161001);
}

TEST(RoutingChains, ScalesGoTheWayOfTheirRows) {
  const Values x(ACL_FLOAT, {3, 2}, kTokens), expert(ACL_INT32, {3, 2}, kExperts),
      smooth(ACL_FLOAT, {1, 2}, Floats{2, 1});
  const Values rows(ACL_INT8, {6, 2}, Bytes8(12)), place(ACL_INT32, {6}, Words(6));
  const Values counts(ACL_INT32, {3}, Words(3)), scales(ACL_FLOAT, {6}, Floats(6));
  ASSERT_EQ(quantised(x, expert, nullptr, nullptr, 1, false, rows, place, counts, scales), 0)
      << group_a::recent_error();
  const float two = 2.0f / 127, four = 4.0f / 127, six = 6.0f / 127;
  EXPECT_EQ(scales.read<float>(), (Floats{four, six, two, four, two, six}));
  EXPECT_EQ(place.read<int32_t>(), kPlaces);
  EXPECT_EQ(counts.read<int32_t>(), (Words{2, 4, 6}));
  ASSERT_EQ(quantised(x, expert, &smooth, nullptr, 1, false, rows, place, counts, scales), 0)
      << group_a::recent_error();
  EXPECT_EQ(scales.read<float>(), (Floats{six, 10.0f / 127, two, six, two, 10.0f / 127}));
}

TEST(RoutingChains, ExpertsOfARange) {
  const Values x(ACL_FLOAT, {3, 2}, kTokens), expert(ACL_INT32, {3, 2}, kExperts),
      scale(ACL_FLOAT, {3}, Floats{7, 8, 9});
  const Values rows(ACL_FLOAT, {6, 2}, Floats(12, -1)), order(ACL_INT32, {6}, Words(6)),
      counts(ACL_INT64, {2}, Longs(2));
  const Values scales(ACL_FLOAT, {6}, Floats(6)), weights(ACL_FLOAT, {3, 2}, Floats{10, 11, 12, 13, 14, 15});
  const Values carried(ACL_FLOAT, {6, 1}, Floats(6));
  const IntArray range({1, 3});
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnMoeInitRoutingV4GetWorkspaceSize(
                      x.get(), expert.get(), scale.get(), nullptr, nullptr, weights.get(), 0, 3, 0, 1, true, -1,
                      range.get(), 1, rows.get(), order.get(), counts.get(), scales.get(), carried.get(), size, run);
                },
                aclnnMoeInitRoutingV4),
            0)
      << group_a::recent_error();
  EXPECT_EQ(order.read<int32_t>(), (Words{0, 3, 1, 5, -1, -1}));
  EXPECT_EQ(counts.read<int64_t>(), (Longs{2, 2}));
  EXPECT_EQ(rows.read<float>(), (Floats{1, 2, 3, 4, 1, 2, 5, 6, -1, -1, -1, -1}));
  EXPECT_EQ(scales.read<float>(), (Floats{7, 8, 7, 9, 0, 0}));
  EXPECT_EQ(carried.read<float>(), (Floats{10, 13, 11, 15, 0, 0}));
}

TEST(RoutingChains, PlacesOrSlotsInOrder) {
  const Values x(ACL_FLOAT, {3, 2}, kTokens), expert(ACL_INT32, {3, 2}, kExperts), rows(ACL_FLOAT, {6, 2}, Floats(12));
  const Values place(ACL_INT32, {6}, Words(6)), counts(ACL_INT64, {3}, Longs(3));
  for (const int64_t type : {0, 1}) {
    ASSERT_EQ(both(
                  [&](auto* size, auto* run) {
                    return aclnnMoeInitRoutingV3GetWorkspaceSize(x.get(), expert.get(), nullptr, nullptr, 6, 0, 3, 0, 0,
                                                                 true, -1, nullptr, type, rows.get(), place.get(),
                                                                 counts.get(), nullptr, size, run);
                  },
                  aclnnMoeInitRoutingV3),
              0)
        << group_a::recent_error();
    EXPECT_EQ(place.read<int32_t>(), type == 0 ? kPlaces : kOrder);
    EXPECT_EQ(counts.read<int64_t>(), (Longs{2, 4, 6}));
    EXPECT_EQ(rows.read<float>(), (Floats{3, 4, 5, 6, 1, 2, 3, 4, 1, 2, 5, 6}));
  }
}

TEST(RoutingChains, TokensGoThereAndBack) {
  const Values x(ACL_FLOAT, {3, 2}, kTokens), place(ACL_INT32, {6}, Words(6));
  const Values expert(ACL_INT64, {3, 2}, Longs{1, 2, 0, 1, 0, 2}), rows(ACL_FLOAT, {6, 2}, Floats(12));
  const auto permute = [&](const Values& out, int64_t wanted) {
    return both(
        [&](auto* size, auto* run) {
          return aclnnMoeTokenPermuteGetWorkspaceSize(x.get(), expert.get(), wanted, false, out.get(), place.get(),
                                                      size, run);
        },
        aclnnMoeTokenPermute);
  };
  ASSERT_EQ(permute(rows, 0), 0) << group_a::recent_error();
  EXPECT_EQ(rows.read<float>(), (Floats{3, 4, 5, 6, 1, 2, 3, 4, 1, 2, 5, 6}));
  EXPECT_EQ(place.read<int32_t>(), kPlaces);
  const Values few(ACL_FLOAT, {2, 2}, Floats(4));
  ASSERT_EQ(permute(few, -4), 0) << group_a::recent_error();
  EXPECT_EQ(few.read<float>(), (Floats{3, 4, 5, 6}));
  EXPECT_EQ(permute(few, 3), 161002);
  const Values probability(ACL_FLOAT, {3, 2}, Floats{1, 2, 0, 3, 1, 1}), back(ACL_FLOAT, {3, 2}, Floats(6));
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnMoeTokenUnpermuteGetWorkspaceSize(rows.get(), place.get(), probability.get(), false,
                                                                nullptr, back.get(), size, run);
                },
                aclnnMoeTokenUnpermute),
            0)
      << group_a::recent_error();
  EXPECT_EQ(back.read<float>(), (Floats{3, 6, 9, 12, 10, 12}));
}

}  // namespace
}  // namespace tandem::ops_test
