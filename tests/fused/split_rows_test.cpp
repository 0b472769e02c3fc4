// SPDX-License-Identifier: Apache-2.0
// mm_reduce_scatter and all_gather_mm over tests/cases: each row has the bits mm_all_reduce gives it.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tandem/check/sweep_split.h"
#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/mm_reduce_scatter.h"
#include "tests/fused/checks.h"

namespace tandem::fused {
namespace {

using nlohmann::json;
using Bytes = std::vector<std::byte>;

constexpr size_t kWindows[] = {64 * 1024, 8 << 20};

json cases_of(const std::string& name) {
  return json::parse(std::ifstream(TANDEM_SOURCE_DIR "/tests/cases/" + name + ".json"));
}

std::vector<int64_t> starts_of(const std::vector<int64_t>& counts) {
  std::vector<int64_t> starts(counts.size() + 1, 0);
  std::partial_sum(counts.begin(), counts.end(), starts.begin() + 1);
  return starts;
}

TensorView rows_of(const TensorView& whole, int64_t first, int64_t count) {
  if (!whole.present()) return {};
  const int64_t columns = whole.dim(-1);
  auto* data = static_cast<std::byte*>(whole.data) + dtype_bytes(whole.dtype, first * columns);
  return make_tensor(data, whole.dtype, {count, columns});
}

template <class Op>
Expected<Plan> plan_on(const Op& op, int rank) {
  auto device = Device::get(rank);
  if (!device) return fail(device.error());
  return plan(op, **device);
}

// What a rank keeps while its operator runs.
struct Rank {
  RankData data;
  Call call;
  Bytes gathered;
};

// Rows of the outputs and the tail's operands that belong to this rank alone.
MmReduceScatter scattered(Call& call, int64_t first, int64_t count) {
  MmReduceScatter op{call.op, {}};
  op.product.y = rows_of(call.op.y, first, count);
  if (!op.product.then) return op;
  AddRmsNorm& tail = *op.product.then;
  tail.residual = rows_of(tail.residual, first, count);
  tail.norm = rows_of(tail.norm, first, count);
  return op;
}

// The rows of one rank of a problem on one rank.
AllGatherMm gathering(const Problem& p, Rank& rank, int64_t first, int64_t count) {
  AllGatherMm op{rank.call.op, {}, {}};
  op.product.x1 = rows_of(op.product.x1, first, count);
  if (auto* quant = std::get_if<Int8Scale>(&op.product.quant); quant != nullptr && quant->token.present()) {
    quant->token = make_tensor(quant->token.as<float>() + first, DType::f32, {count});
  }
  rank.gathered.assign(dtype_bytes(p.dtype, p.m * p.k), std::byte{0xcd});
  op.gathered = make_tensor(rank.gathered.data(), p.dtype, {p.m, p.k});
  return op;
}

void expect_scattered(const json& member, const std::vector<int64_t>& counts, size_t window) {
  Problem p = parse_problem(member);
  p.ranks = static_cast<int>(counts.size());
  p.m = starts_of(counts).back();
  SCOPED_TRACE(p.describe() + " counts " + json(counts).dump() + " window " + std::to_string(window));
  auto group = CppGroup::make(p.ranks, window);
  ASSERT_TRUE(group) << group.error().message;
  const auto whole = group->run(p, make_ranks(p));
  ASSERT_TRUE(whole) << whole.error().message;
  const auto got = run_split(*group, p, counts, Split::scattered);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(*got == whole->front());
}

void expect_gathered(const json& member, const std::vector<int64_t>& counts, size_t window) {
  Problem one = parse_problem(member);
  one.ranks = 1;
  one.m = starts_of(counts).back();
  SCOPED_TRACE(one.describe() + " counts " + json(counts).dump() + " window " + std::to_string(window));
  auto alone = CppGroup::make(1);
  auto group = CppGroup::make(static_cast<int>(counts.size()), window);
  ASSERT_TRUE(alone && group);
  const auto whole = alone->run(one, make_ranks(one));
  ASSERT_TRUE(whole) << whole.error().message;
  const auto got = run_split(*group, one, counts, Split::gathered);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(*got == whole->front());
}

void expect_all(const std::string& name, void (*expect)(const json&, const std::vector<int64_t>&, size_t)) {
  const json cases = cases_of(name);
  size_t run = 0;
  for (const json& member : cases.at("cases")) {
    for (const json& counts : cases.at("counts")) {
      for (const size_t window : kWindows) {
        expect(member, counts, window);
        if (testing::Test::HasFailure()) return;
        ++run;
      }
    }
  }
  EXPECT_GE(run, 50u);
}

TEST(SplitRows, OfReduceScatterHaveTheBitsOfTheWhole) { expect_all("mm_reduce_scatter", expect_scattered); }
TEST(SplitRows, OfAllGatherHaveTheBitsOfTheWhole) { expect_all("all_gather_mm", expect_gathered); }

// An int32 bias is scaled with the sums, a floating one is added behind: small whole numbers, so that all is exact.
TEST(SplitRows, BiasesOfInt8ProductsInFrontOfAndBehindTheScales) {
  constexpr int64_t kRows = 4, kDepth = 3, kColumns = 5;
  auto group = CppGroup::make(2);
  ASSERT_TRUE(group);
  std::vector<int8_t> x1(kRows * kDepth, 2), x2(kDepth * kColumns, 3);
  std::vector<float> channel(kColumns, 0.5f), token = {1, 2, 4, 8}, floating(kColumns, 7);
  std::vector<int32_t> whole(kColumns, 10);
  for (const bool integer : {true, false}) {
    for (const bool by_token : {true, false}) {
      std::array<std::array<float, kRows * kColumns>, 2> y{};
      std::vector<Plan> plans;
      for (int rank = 0; rank < 2; ++rank) {
        MmAllReduce op;
        op.x1 = make_tensor(x1.data(), DType::i8, {kRows, kDepth});
        op.x2 = make_tensor(x2.data(), DType::i8, {kDepth, kColumns});
        op.bias = integer ? make_tensor(whole.data(), DType::i32, {kColumns})
                          : make_tensor(floating.data(), DType::f32, {kColumns});
        op.quant = Int8Scale{make_tensor(channel.data(), DType::f32, {kColumns}),
                             by_token ? make_tensor(token.data(), DType::f32, {kRows}) : TensorView{}};
        op.y = make_tensor(y[static_cast<size_t>(rank)].data(), DType::f32, {kRows, kColumns});
        op.group = group->name();
        auto planned = plan_on(op, rank);
        ASSERT_TRUE(planned) << planned.error().message;
        plans.push_back(std::move(*planned));
      }
      ASSERT_TRUE(group->run_plans(plans));
      for (size_t i = 0; i < y[0].size(); ++i) {
        const float scale = 0.5f * (by_token ? token[i / kColumns] : 1.0f);
        const float wanted = 2 * (integer ? (18 + 10) * scale : 18 * scale + 7);
        EXPECT_EQ(y[0][i], wanted) << integer << by_token << i;
        EXPECT_EQ(y[1][i], wanted);
      }
    }
  }
}

TEST(SplitRows, WrongCountsAreRefused) {
  Problem p = parse_problem(cases_of("mm_reduce_scatter").at("cases").front());
  p.ranks = 2;
  p.m = 5;
  auto group = CppGroup::make(2);
  ASSERT_TRUE(group);
  const auto refusal = [&](const std::vector<int64_t>& counts, int64_t own) {
    const RankData data = make_rank(p, 0);
    Call call = make_call(p, data, group->name());
    MmReduceScatter op = scattered(call, 0, own);
    op.counts = counts;
    const auto planned = plan_on(op, 0);
    return planned ? std::string("planned") : planned.error().message;
  };
  EXPECT_EQ(refusal({}, 2), "mm_reduce_scatter: 5 rows are given without counts, a multiple of 2 ranks wanted");
  EXPECT_EQ(refusal({5}, 2), "mm_reduce_scatter: counts has 1 entries, one for each of 2 ranks wanted");
  EXPECT_EQ(refusal({3, 3}, 3), "mm_reduce_scatter: counts[1] is 3, 0 to 2 wanted (rows left of 5)");
  EXPECT_EQ(refusal({3, -1}, 3), "mm_reduce_scatter: counts[1] is -1, 0 to 2 wanted (rows left of 5)");
  EXPECT_EQ(refusal({3, 1}, 3), "mm_reduce_scatter: counts add up to 4, 5 wanted");
  EXPECT_NE(refusal({3, 2}, 2).find("has 2 rows, 3 wanted (those of rank 0)"), std::string::npos);
}

// Slots hold rows as they lie in x1, which a peer could not read with another k.
TEST(SplitRows, DifferentDepthsOfGatheredRowsAreAMismatch) {
  auto group = CppGroup::make(2);
  ASSERT_TRUE(group);
  std::vector<Rank> ranks(2);
  std::vector<Plan> plans;
  for (size_t rank = 0; rank < 2; ++rank) {
    Problem one = parse_problem(cases_of("all_gather_mm").at("cases").front());
    one.ranks = 1;
    one.m = 4;
    one.k = rank == 0 ? 64 : 96;
    ranks[rank].data = make_rank(one, 0);
    ranks[rank].call = make_call(one, ranks[rank].data, group->name());
    auto planned = plan_on(gathering(one, ranks[rank], static_cast<int64_t>(2 * rank), 2), static_cast<int>(rank));
    ASSERT_TRUE(planned) << planned.error().message;
    plans.push_back(std::move(*planned));
  }
  const Status status = group->run_plans(plans);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::mismatch) << status.error().message;
}

TEST(SplitRows, DifferentCountsAreAMismatchOnAllRanks) {
  Problem p = parse_problem(cases_of("mm_reduce_scatter").at("cases").front());
  p.ranks = 2;
  p.m = 5;
  auto group = CppGroup::make(2);
  ASSERT_TRUE(group);
  std::vector<Rank> ranks(2);
  std::vector<Plan> plans;
  const std::vector<std::vector<int64_t>> counts = {{3, 2}, {4, 1}};
  for (size_t rank = 0; rank < 2; ++rank) {
    ranks[rank].data = make_rank(p, static_cast<int>(rank));
    ranks[rank].call = make_call(p, ranks[rank].data, group->name());
    MmReduceScatter op = scattered(ranks[rank].call, starts_of(counts[rank])[rank], counts[rank][rank]);
    op.counts = counts[rank];
    auto planned = plan_on(op, static_cast<int>(rank));
    ASSERT_TRUE(planned) << planned.error().message;
    plans.push_back(std::move(*planned));
  }
  const Status status = group->run_plans(plans);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::mismatch) << status.error().message;
  EXPECT_NE(status.error().message.find("mm_reduce_scatter"), std::string::npos) << status.error().message;
}

}  // namespace
}  // namespace tandem::fused
