// SPDX-License-Identifier: Apache-2.0
// The expert-list form: row m is the weighted sum of its experts' products, reduced over ranks like the dense form.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/fused/checks.h"
#include "tandem/check/fused_oracle.h"

namespace tandem::fused {
namespace {

constexpr int kExperts = 5;

struct ExpertCase {
  DType dtype = DType::f16;
  bool transposed = false;
  int64_t m = 6, top_k = 2, total_k = 256, n = 40;
};

// The router's choice, rising in a row, and its weights.
struct Choice {
  std::vector<int32_t> expert;
  std::vector<float> weight;
};

Choice choose(const ExpertCase& c) {
  Choice choice;
  for (int64_t row = 0; row < c.m; ++row) {
    for (int64_t j = 0; j < c.top_k; ++j) {
      const int64_t spread = kExperts - c.top_k + 1;
      choice.expert.push_back(static_cast<int32_t>((row * 7) % spread + j));
      choice.weight.push_back(0.3f + 0.11f * static_cast<float>((row + 3 * j) % 5));
    }
  }
  return choice;
}

Problem dense_problem(const ExpertCase& c, int ranks, int64_t rows, int expert) {
  Problem p;
  p.ranks = ranks;
  p.m = rows;
  p.k = c.total_k / ranks;
  p.n = c.n;
  p.dtype = p.output = p.weight = c.dtype;
  p.scales = "none";
  p.bias = "none";
  p.transposed = c.transposed;
  p.values.clear();
  p.seed = 100 + static_cast<uint64_t>(expert);
  return p;
}

// Operands of every rank: x1 of (M, top_k, k) and the experts' weights.
struct ExpertData {
  std::vector<Stored> x1;                    // by rank
  std::vector<std::vector<Stored>> experts;  // [rank][expert]
};

ExpertData make_data(const ExpertCase& c, int ranks) {
  ExpertData data;
  for (int rank = 0; rank < ranks; ++rank) {
    data.x1.push_back(operand(make_rank(dense_problem(c, ranks, c.m * c.top_k, 0), rank), "x1"));
    data.experts.emplace_back();
    for (int e = 0; e < kExperts; ++e) {
      data.experts.back().push_back(operand(make_rank(dense_problem(c, ranks, 1, e), rank), "x2"));
    }
  }
  return data;
}

Expected<std::vector<Outputs>> run_experts(const ExpertCase& c, int ranks, const Choice& choice) {
  const Problem p = dense_problem(c, ranks, c.m, 0);
  const ExpertData data = make_data(c, ranks);
  std::vector<std::vector<TensorView>> views;
  for (const auto& experts : data.experts) {
    views.emplace_back();
    for (const Stored& weight : experts) views.back().push_back(weight.view({p.k, p.n}));
  }
  const auto adjust = [&](int rank, MmAllReduce& op) {
    const auto index = static_cast<size_t>(rank);
    op.x1 = data.x1[index].view({c.m, c.top_k, p.k});
    op.x2 = {};
    op.experts =
        ExpertList{views[index], make_tensor(const_cast<int32_t*>(choice.expert.data()), DType::i32, {c.m, c.top_k}),
                   make_tensor(const_cast<float*>(choice.weight.data()), DType::f32, {c.m, c.top_k})};
  };
  return Groups().run(p, make_ranks(p), adjust);
}

// Exact sum and bound of one rank-count-independent problem, in double.
Reference expert_reference(const ExpertCase& c, const Choice& choice) {
  const Problem one = dense_problem(c, 1, c.m, 0);
  const RankData own = make_rank(one, 0);
  Problem terms = dense_problem(c, 1, c.m * c.top_k, 0);
  terms.tail = false;
  terms.output = DType::f32;
  const ExpertData data = make_data(c, 1);
  std::vector<Reference> by_expert;
  for (int e = 0; e < kExperts; ++e) {
    std::vector<RankData> ranks{{{"x1", data.x1[0]}, {"x2", data.experts[0][static_cast<size_t>(e)]}}};
    by_expert.push_back(reference(terms, ranks, 0));
  }
  const double u = unit_roundoff(c.dtype);
  Reference result;
  for (int64_t i = 0; i < c.m * c.n; ++i) {
    double sum = 0, chain = 0;
    for (int64_t j = 0; j < c.top_k; ++j) {
      const auto slot = static_cast<size_t>(i / c.n * c.top_k + j);
      const auto term = static_cast<size_t>(static_cast<int64_t>(slot) * c.n + i % c.n);
      const Reference& e = by_expert[static_cast<size_t>(choice.expert[slot])];
      sum += choice.weight[slot] * e.y[term];
      chain += choice.weight[slot] * (2 * e.y_bound[term] + 0x1p-20 * std::fabs(e.y[term]));
    }
    sum += operand(own, "residual").at(i / c.n, i % c.n);
    result.y.push_back(sum);
    result.y_bound.push_back(1.05 * (chain + 0x1p-22 + u * (std::fabs(sum) + chain)) + 0x1p-24);
  }
  return result;
}

std::string describe(const ExpertCase& c, int ranks) {
  return std::string(dtype_name(c.dtype)) + (c.transposed ? " transposed" : "") + " top " + std::to_string(c.top_k) +
         " at " + std::to_string(ranks) + " ranks";
}

std::vector<ExpertCase> all_cases() {
  std::vector<ExpertCase> cases;
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    for (const bool transposed : {false, true}) {
      for (const int64_t top_k : {1, 2, 3}) cases.push_back({dtype, transposed, 6, top_k});
    }
  }
  return cases;
}

TEST(Experts, LieWithinTheBoundWithTheSameBitsAtEveryRankCount) {
  for (const ExpertCase& c : all_cases()) {
    const Choice choice = choose(c);
    const Reference wanted = expert_reference(c, choice);
    std::vector<Outputs> first;
    for (const int ranks : {1, 2, 4, 8}) {
      SCOPED_TRACE(describe(c, ranks));
      const auto results = run_experts(c, ranks, choice);
      ASSERT_TRUE(results.has_value()) << results.error().message;
      if (first.empty()) first = *results;
      for (const Outputs& rank : *results) ASSERT_EQ(rank == first.front(), true);
      ASSERT_EQ(compare(c.dtype, results->front().y, wanted.y, wanted.y_bound, false, "y"), "");
    }
  }
}

TEST(Experts, OneExpertOfWeightOneIsTheDenseProduct) {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    for (const int ranks : {1, 2, 8}) {
      const ExpertCase c{dtype, false, 7, 1};
      SCOPED_TRACE(describe(c, ranks));
      const Choice choice{std::vector<int32_t>(7, 0), std::vector<float>(7, 1.0f)};
      const auto listed = run_experts(c, ranks, choice);
      const Problem p = dense_problem(c, ranks, c.m, 0);
      const auto dense = Groups().run(p, make_ranks(p));
      ASSERT_TRUE(listed.has_value()) << listed.error().message;
      ASSERT_TRUE(dense.has_value()) << dense.error().message;
      EXPECT_EQ(*listed == *dense, true);
    }
  }
}

}  // namespace
}  // namespace tandem::fused
