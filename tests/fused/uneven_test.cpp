// SPDX-License-Identifier: Apache-2.0
// Splits of k that are not even, with ranks that hold nothing: legal in the C++ interface, within the same bound.
#include <gtest/gtest.h>

#include "tests/fused/checks.h"
#include "tandem/check/fused_oracle.h"

namespace tandem::fused {
namespace {

Stored block(const Stored& whole, int64_t first_row, int64_t rows, int64_t first_col, int64_t cols) {
  Stored part{whole.dtype, rows, cols, cols, 1, {}};
  part.bytes.resize(dtype_bytes(whole.dtype, rows * cols));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      store(whole.dtype, part.bytes.data(), row * cols + col, whole.at(first_row + row, first_col + col));
    }
  }
  return part;
}

struct Split {
  std::vector<int64_t> k;
  int64_t total() const {
    int64_t sum = 0;
    for (const int64_t part : k) sum += part;
    return sum;
  }
};

Problem whole_problem(const Split& split, DType dtype, DType weight) {
  Problem p;
  p.ranks = 1;
  p.m = 5;
  p.k = split.total();
  p.n = 20;
  p.dtype = p.output = dtype;
  p.weight = weight;
  p.bias = "first";
  if (weight == dtype) p.scales = "none";
  return p;
}

Expected<std::vector<Outputs>> run_split(const Problem& whole, const RankData& all, const Split& split) {
  std::vector<RankData> ranks;
  int64_t first = 0;
  for (const int64_t k : split.k) {
    RankData own = all;
    own["x1"] = block(operand(all, "x1"), 0, whole.m, first, k);
    own["x2"] = block(operand(all, "x2"), first, k, 0, whole.n);
    if (!ranks.empty()) own.erase("bias");
    ranks.push_back(std::move(own));
    first += k;
  }
  Problem p = whole;
  p.ranks = static_cast<int>(split.k.size());
  const auto adjust = [&](int rank, MmAllReduce& op) {
    const auto index = static_cast<size_t>(rank);
    op.x1 = ranks[index].at("x1").view({whole.m, split.k[index]});
    op.x2 = ranks[index].at("x2").view({split.k[index], whole.n});
  };
  return Groups().run(p, ranks, adjust);
}

TEST(UnevenSplit, LiesWithinTheBoundAndRepeatsItsBits) {
  const std::vector<Split> splits{{{20, 0, 17}}, {{37, 0}},           {{0, 37}},
                                  {{1, 36}},     {{3, 9, 1, 11, 13}}, {{5, 0, 0, 0, 0, 0, 0, 6}}};
  for (const Split& split : splits) {
    for (const DType weight : {DType::i8, DType::i4, DType::f16}) {
      SCOPED_TRACE(split.k.size());
      const Problem whole = whole_problem(split, DType::f16, weight);
      const auto all = make_ranks(whole);
      const auto first = run_split(whole, all.front(), split);
      const auto second = run_split(whole, all.front(), split);
      ASSERT_TRUE(first.has_value()) << first.error().message;
      ASSERT_TRUE(second.has_value()) << second.error().message;
      EXPECT_TRUE(all_same(*first));
      EXPECT_TRUE(*first == *second);
      EXPECT_EQ(compare_result(whole, reference(whole, all, 0), first->front().y, first->front().norm), "");
    }
  }
}

TEST(UnevenSplit, NothingAnywhereGivesBiasAndResidual) {
  const Split split{{0, 0, 0}};
  const Problem whole = whole_problem(split, DType::bf16, DType::i8);
  const auto all = make_ranks(whole);
  const auto results = run_split(whole, all.front(), split);
  ASSERT_TRUE(results.has_value()) << results.error().message;
  EXPECT_EQ(compare_result(whole, reference(whole, all, 0), results->front().y, results->front().norm), "");
}

}  // namespace
}  // namespace tandem::fused
