// SPDX-License-Identifier: Apache-2.0
// Communication hidden behind the next product, forced on and off: the same bits.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tandem/check/fused_group.h"
#include "tandem/kernels/pack.h"
#include "tandem/ops/mm_reduce_scatter.h"
#include "tests/fused/checks.h"

namespace tandem::fused {
namespace {

// Four chunks, the last one short; strips of columns that n does not divide into evenly.
constexpr int64_t kRows = 300, kColumns = 2120, kDepth = 24;

class Forced {
 public:
  explicit Forced(const char* how) { ::setenv("TANDEM_OVERLAP", how, 1); }
  ~Forced() { ::unsetenv("TANDEM_OVERLAP"); }
  Forced(const Forced&) = delete;
  Forced& operator=(const Forced&) = delete;
};

Problem problem_of(const char* text) {
  Problem base;
  base.m = kRows;
  base.n = kColumns;
  base.k = kDepth;
  return parse_problem(nlohmann::json::parse(text), base);
}

constexpr const char* kProblems[] = {
    R"({"ranks": 2, "weight": "f16", "scales": "none"})",
    R"({"ranks": 4, "weight": "i8", "scales": "channel"})",
    R"({"ranks": 3, "weight": "i4", "scales": "group", "group_size": 8})",
    R"({"ranks": 2, "weight": "i4", "scales": "group", "group_size": 8, "transposed": true, "bias": "first"})",
    R"({"ranks": 4, "x1_dtype": "i8", "weight": "i8", "token": true, "bias": "none", "scale_dtype": "f32"})",
    R"({"ranks": 2, "weight": "i8", "scales": "tensor", "replicated": true})",
    R"({"ranks": 2, "weight": "f16", "scales": "none", "tail": false, "x3": "all"})",
};

std::string kind_of(const testing::TestParamInfo<const char*>& info) { return std::to_string(info.index); }

class OverlapProblem : public testing::TestWithParam<const char*> {};

TEST_P(OverlapProblem, NeverChangesABit) {
  const Problem problem = problem_of(GetParam());
  const auto data = make_ranks(problem);
  std::vector<std::vector<Outputs>> results;
  for (const char* how : {"off", "on"}) {
    const Forced forced(how);
    auto result = Groups().run(problem, data);
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_TRUE(all_same(*result)) << how;
    results.push_back(std::move(*result));
  }
  EXPECT_EQ(results[0], results[1]);
  // One row alone has neither chunks nor strips.
  Problem one = problem;
  one.m = 1;
  std::vector<RankData> last;
  for (const RankData& rank : data) last.push_back(row_slice(rank, kRows - 1, 1));
  const auto alone = Groups().run(one, last);
  ASSERT_TRUE(alone.has_value()) << alone.error().message;
  const auto bytes = static_cast<std::ptrdiff_t>(alone->front().y.size());
  const auto& whole = results[1].front().y;
  EXPECT_EQ(std::vector(whole.end() - bytes, whole.end()), alone->front().y);
}

INSTANTIATE_TEST_SUITE_P(Fused, OverlapProblem, testing::ValuesIn(kProblems), kind_of);

TEST(Overlap, PackedWeightsHaveTheirBits) {
  for (const char* text : {kProblems[0], kProblems[2]}) {
    const Problem problem = problem_of(text);
    const auto data = make_ranks(problem);
    std::vector<std::vector<std::byte>> packed(data.size());
    const auto pack = [&](int rank, MmAllReduce& op) {
      auto& to = packed[static_cast<size_t>(rank)];
      to.resize(packed_bytes(op.x2.dtype, problem.k, problem.n));
      pack_weight({op.x2.data, op.x2.dtype, op.x2.step(0), op.x2.step(1), 0}, problem.k, problem.n, to.data());
      op.x2.data = to.data();
      op.x2_panel = kPanel;
    };
    const Forced forced("on");
    const auto plain = Groups().run(problem, data), panels = Groups().run(problem, data, pack);
    ASSERT_TRUE(plain.has_value() && panels.has_value());
    EXPECT_EQ(*plain, *panels) << text;
  }
}

// The rows of mm_reduce_scatter, put together.
Expected<std::vector<std::byte>> scattered_rows(const Problem& problem, CppGroup& group) {
  const int64_t own = problem.m / problem.ranks;
  std::vector<RankData> data = make_ranks(problem);
  std::vector<Call> calls;
  std::vector<Plan> plans;
  for (int rank = 0; rank < problem.ranks; ++rank) {
    calls.push_back(make_call(problem, data[static_cast<size_t>(rank)], group.name()));
    MmReduceScatter op{calls.back().op, {}};
    op.product.y = make_tensor(calls.back().out.y.data(), problem.output, {own, problem.n});
    auto device = Device::get(rank);
    if (!device) return fail(device.error());
    auto planned = plan(op, **device);
    if (!planned) return fail(planned.error());
    plans.push_back(std::move(*planned));
  }
  if (Status s = group.run_plans(plans); !s) return fail(s.error());
  std::vector<std::byte> rows;
  for (const Call& call : calls) {
    const auto begin = call.out.y.begin();
    rows.insert(rows.end(), begin, begin + static_cast<std::ptrdiff_t>(dtype_bytes(problem.output, own * problem.n)));
  }
  return rows;
}

TEST(Overlap, ScatteredRowsHaveTheirBits) {
  const Problem problem = problem_of(R"({"ranks": 4, "weight": "i8", "tail": false})");
  auto group = CppGroup::make(problem.ranks);
  ASSERT_TRUE(group.has_value()) << group.error().message;
  for (const char* how : {"off", "on"}) {
    const Forced forced(how);
    const auto whole = group->run(problem, make_ranks(problem));
    const auto rows = scattered_rows(problem, *group);
    ASSERT_TRUE(whole.has_value() && rows.has_value());
    EXPECT_EQ(whole->front().y, *rows) << how;
  }
}

}  // namespace
}  // namespace tandem::fused
