// SPDX-License-Identifier: Apache-2.0
// moe_ffn over ranks as threads: tests/cases/moe_ffn.json explains what every family is held to.
#include <gtest/gtest.h>

#include <fstream>

#include "tandem/check/moe_ffn_group.h"

namespace tandem::moe_ffn_case {
namespace {

nlohmann::json cases() {
  std::ifstream file(TANDEM_SOURCE_DIR "/tests/cases/moe_ffn.json");
  return nlohmann::json::parse(file);
}

// Tensor-parallel at every rank count that divides the inner columns, and expert-parallel at all with experts where
// they come first and where the measured load puts them.
std::vector<Spread> spreads(const Problem& p, const std::vector<int64_t>& load) {
  std::vector<Spread> all;
  for (const int ranks : {2, 4, 8}) {
    if (p.inner % ranks == 0) all.push_back({ranks, false, {}});
  }
  for (const int ranks : {1, 2, 3, 4, 8}) all.push_back({ranks, true, {}});
  for (const int ranks : {2, 4}) all.push_back({ranks, true, place_experts(load, ranks)});
  return all;
}

void run_member(const Problem& p, Groups& groups) {
  const Data data = make_data(p);
  const auto one = groups.run(p, data, {});
  ASSERT_TRUE(one.has_value()) << one.error().message;
  EXPECT_EQ(compare_wanted(p, reference(p, data), *one), "");
  for (const Spread& spread : spreads(p, one->tokens)) {
    SCOPED_TRACE(std::to_string(spread.ranks) + (spread.expert_parallel ? " ranks, experts" : " ranks, columns") +
                 (spread.owner.empty() ? "" : " placed"));
    const auto other = groups.run(p, data, spread);
    ASSERT_TRUE(other.has_value()) << other.error().message;
    EXPECT_EQ(*other == *one, true);
  }
  if (p.capacity == 0) return;
  Problem padded = p;
  padded.pad = !p.pad;
  const auto other = groups.run(padded, data, {});
  ASSERT_TRUE(other.has_value()) << other.error().message;
  EXPECT_EQ(*other == *one, true);
}

TEST(MoeFfn, LiesWithinTheBoundWithTheSameBitsHoweverItIsSpread) {
  Groups groups;
  size_t count = 0;
  const nlohmann::json file = cases();
  for (const nlohmann::json& family : file.at("families")) {
    for (const Problem& p : members(family)) {
      SCOPED_TRACE(p.describe());
      run_member(p, groups);
      ++count;
    }
  }
  EXPECT_GT(count, 35u);
}

// What an error case changes in one rank's call.
void edit(const nlohmann::json& change, MoeFfn& op) {
  op.top_k = change.value("top_k", op.top_k);
  op.capacity = change.value("capacity", op.capacity);
  op.pad = change.value("pad", op.pad);
  op.gated = change.value("gated", op.gated);
  op.normalise = change.value("normalise", op.normalise);
  if (change.contains("owner")) op.owner = change.at("owner").get<std::vector<int32_t>>();
  if (change.contains("drop_expert")) op.first.pop_back();
  if (change.contains("short_router")) op.router.shape[0] -= 1;
  if (change.contains("no_scale")) op.first_scale.clear();
  if (change.contains("no_x")) op.x = {};
  if (change.contains("narrow_second")) op.second.front().shape[1] -= 1;
  if (change.contains("router_i8")) op.router.dtype = DType::i8;
  if (change.contains("group")) op.group = "nobody";
}

TEST(MoeFfn, ErrorsAreWorded) {
  Groups groups;
  const nlohmann::json file = cases();
  for (const nlohmann::json& wrong : file.at("errors")) {
    const Problem p = parse_problem(wrong.value("set", nlohmann::json::object()));
    SCOPED_TRACE(wrong.at("name").get<std::string>());
    const Spread spread{2, wrong.value("expert_parallel", false), {}};
    const bool everywhere = wrong.value("everywhere", true);
    const auto result = groups.run(p, make_data(p), spread, [&](int rank, MoeFfn& op) {
      if (everywhere || rank == 1) edit(wrong.at("change"), op);
    });
    ASSERT_FALSE(result.has_value());
    const bool mismatch = wrong.value("code", "") == "mismatch", null = wrong.value("code", "") == "null";
    EXPECT_EQ(result.error().code, mismatch ? ErrorCode::mismatch
                                   : null   ? ErrorCode::null_argument
                                            : ErrorCode::invalid_argument);
    EXPECT_NE(result.error().message.find(wrong.at("says").get<std::string>()), std::string::npos)
        << result.error().message;
    EXPECT_NE(result.error().message.find("moe_ffn"), std::string::npos) << result.error().message;
  }
}

TEST(MoeFfn, RowsOfNoneAreLegal) {
  Groups groups;
  Problem p;
  p.rows = 0;
  const Data data = make_data(p);
  for (const bool expert_parallel : {false, true}) {
    const auto result = groups.run(p, data, {2, expert_parallel, {}});
    ASSERT_TRUE(result.has_value()) << result.error().message;
    if (!expert_parallel) continue;
    EXPECT_EQ(result->tokens, std::vector<int64_t>(static_cast<size_t>(p.experts), 0));
    EXPECT_EQ(result->imbalance, 1.0f);
  }
  p.rows = 1;  // one rank has the only row
  const Data single = make_data(p);
  const auto one = groups.run(p, single, {}), two = groups.run(p, single, {2, true, {}});
  ASSERT_TRUE(one.has_value()) << one.error().message;
  ASSERT_TRUE(two.has_value()) << two.error().message;
  EXPECT_EQ(*one == *two, true);
}

TEST(PlaceExperts, EvensOutLoadTheSameWayEveryTime) {
  EXPECT_EQ(place_experts(std::vector<int64_t>{9, 1, 1, 7}, 2), (std::vector<int32_t>{0, 1, 0, 1}));
  EXPECT_EQ(place_experts(std::vector<int64_t>{5, 5, 5, 5}, 4), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(place_experts(std::vector<int64_t>{3, 2, 1}, 1), (std::vector<int32_t>{0, 0, 0}));
  EXPECT_EQ(place_experts(std::vector<int64_t>{100, 1, 1, 1}, 2), (std::vector<int32_t>{0, 1, 1, 0}));
  EXPECT_EQ(place_experts(std::vector<int64_t>{4}, 3), (std::vector<int32_t>{0}));
  EXPECT_TRUE(place_experts({}, 3).empty());
}

}  // namespace
}  // namespace tandem::moe_ffn_case
