// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tandem/comm/communicator.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/mm_all_reduce.h"

namespace tandem {
namespace {

// f32 operands of one rank, filled with ones.
struct Operands {
  Operands(int64_t rows, int64_t k, int64_t n)
      : x(static_cast<size_t>(rows * k), 1.0f), w(static_cast<size_t>(k * n), 1.0f), y(static_cast<size_t>(rows * n)),
        residual(y.size(), 1.0f), gamma(static_cast<size_t>(n), 1.0f), norm(y.size()) {
    op.x1 = make_tensor(x.data(), DType::f32, {rows, k});
    op.x2 = make_tensor(w.data(), DType::f32, {k, n});
    op.y = make_tensor(y.data(), DType::f32, {rows, n});
    op.then = AddRmsNorm{make_tensor(residual.data(), DType::f32, {rows, n}), make_tensor(gamma.data(), DType::f32, {n}),
                         1e-6, make_tensor(norm.data(), DType::f32, {rows, n})};
  }
  std::vector<float> x, w, y, residual, gamma, norm;
  MmAllReduce op;
};

class Pair : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Communicator::local(2);
    ASSERT_TRUE(made) << made.error().message;
    comms_ = std::move(*made);
    for (int rank = 0; rank < 2; ++rank) {
      operands_.emplace_back(3, 8, 4);
      operands_.back().op.group = comms_[0]->name();
      auto stream = Stream::create(**Device::get(rank));
      ASSERT_TRUE(stream);
      streams_.push_back(std::move(*stream));
    }
  }

  Status submit(int rank) {
    const auto index = static_cast<size_t>(rank);
    auto planned = plan(operands_[index].op, streams_[index]->device());
    if (!planned) return fail(planned.error());
    return planned->run(workspace_, *streams_[index]);
  }
  std::string ends_with(int rank) {
    const auto status = streams_[static_cast<size_t>(rank)]->synchronize();
    return status ? "" : status.error().message;
  }

  std::vector<std::shared_ptr<Communicator>> comms_;
  std::vector<Operands> operands_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::byte> workspace_ = std::vector<std::byte>(4096);
};

TEST_F(Pair, SumsOverRanks) {
  ASSERT_TRUE(submit(0));
  ASSERT_TRUE(submit(1));
  EXPECT_EQ(ends_with(0), "");
  EXPECT_EQ(ends_with(1), "");
  for (const auto& rank : operands_) {
    for (const float value : rank.y) EXPECT_EQ(value, 17.0f);
  }
}

TEST_F(Pair, AMismatchIsWordedAlikeOnBothRanks) {
  operands_[1].op.then->epsilon = 0.125;
  ASSERT_TRUE(submit(0));
  ASSERT_TRUE(submit(1));
  const std::string first = ends_with(0);
  EXPECT_NE(first.find("epsilon=0.125"), std::string::npos) << first;
  EXPECT_NE(first.find("rank 1"), std::string::npos) << first;
  EXPECT_EQ(first, ends_with(1));
}

TEST_F(Pair, RanksOfDifferentArithmeticRefuse) {
  operands_[0].op.math = Math::exact;
  operands_[1].op.math = Math::fast;
  ASSERT_TRUE(submit(0));
  ASSERT_TRUE(submit(1));
  const std::string first = ends_with(0);
  EXPECT_NE(first.find("mode=1"), std::string::npos) << first;
  EXPECT_EQ(first, ends_with(1));
}

TEST_F(Pair, FastProductsOfInt8Weights) {
  std::vector<int8_t> w(8 * 4, int8_t{2});
  float scale = 0.5f;
  for (auto& rank : operands_) {
    rank.op.x2 = make_tensor(w.data(), DType::i8, {8, 4});
    rank.op.quant = WeightScale{make_tensor(&scale, DType::f32, {1}), {}, 0};
    rank.op.math = Math::fast;
    rank.x[0] = 1.0f + 0x1p-20f;  // lost by 16 bits beside 1, kept by exact arithmetic
  }
  for (int rank : {0, 1}) ASSERT_TRUE(submit(rank));
  for (int rank : {0, 1}) EXPECT_EQ(ends_with(rank), "");
  for (const float value : operands_[0].y) EXPECT_EQ(value, 17.0f);
}

TEST_F(Pair, WorkThatAFailedStreamDropsEndsTheGroup) {
  ASSERT_TRUE(streams_[1]->submit([](Lane&) -> Status { return fail(ErrorCode::io, "disk gone"); }));
  const Status queued = submit(1);  // taken by the queue, or refused if the failure came first
  ASSERT_TRUE(submit(0));
  if (!queued) comms_[1]->abort({ErrorCode::cancelled, "refused"});
  EXPECT_NE(ends_with(0).find("rank 1"), std::string::npos) << ends_with(0);
}

TEST_F(Pair, ARefusalByAFailedStreamLeavesTheGroupAlive) {
  ASSERT_TRUE(streams_[1]->submit([](Lane&) -> Status { return fail(ErrorCode::io, "disk gone"); }));
  ASSERT_FALSE(streams_[1]->synchronize());
  EXPECT_FALSE(submit(1));
  streams_[1] = std::move(*Stream::create(**Device::get(1)));
  ASSERT_TRUE(submit(1));
  ASSERT_TRUE(submit(0));
  EXPECT_EQ(ends_with(0), "");
  EXPECT_EQ(ends_with(1), "");
}

std::string refusal(const MmAllReduce& op) {
  const auto planned = plan(op, **Device::get(0));
  return planned ? "" : planned.error().message;
}

TEST(Refusals, NameArgumentGivenAndWanted) {
  Operands operands(3, 8, 4);
  MmAllReduce op = operands.op;
  op.x2 = make_tensor(operands.w.data(), DType::f32, {4, 4});
  EXPECT_EQ(refusal(op), "mm_all_reduce: x2 [4,4] f32 has 4 in dimension 0, 8 wanted (the last dimension of x1)");
  op = operands.op;
  op.x2 = {};
  EXPECT_EQ(refusal(op), "mm_all_reduce: x2 is null, a value wanted");
  op = operands.op;
  op.then->epsilon = 0;
  EXPECT_EQ(refusal(op), "mm_all_reduce: epsilon is 0, a value in (0, 1) wanted");
  op = operands.op;
  op.reduction = "median";
  EXPECT_EQ(refusal(op),
            "mm_all_reduce: reduction is \"median\", \"sum\", \"prod\", \"max\", \"min\" or \"avg\" wanted");
}

TEST(Refusals, Int8SumsThatCouldOverflow) {
  constexpr int64_t kDepth = 65536;
  std::vector<int8_t> data(kDepth);
  std::vector<float> scale(1, 1.0f), y(1);
  MmAllReduce op;
  op.x1 = make_tensor(data.data(), DType::i8, {1, kDepth});
  op.x2 = make_tensor(data.data(), DType::i8, {kDepth, 1});
  op.quant = Int8Scale{make_tensor(scale.data(), DType::f32, {1}), {}};
  op.y = make_tensor(y.data(), DType::f32, {1, 1});
  EXPECT_EQ(refusal(op), "mm_all_reduce: k is 65536, a value in [0, 65535] wanted");
}

TEST(Refusals, ExpertRowsAreThoseOfY) {
  std::vector<float> x(2 * 2 * 4), w(4 * 3), y(5 * 3), weight(10, 0.5f);
  std::vector<int32_t> expert(10);
  const TensorView experts[] = {make_tensor(w.data(), DType::f32, {4, 3})};
  MmAllReduce op;
  op.x1 = make_tensor(x.data(), DType::f32, {2, 2, 4});
  op.y = make_tensor(y.data(), DType::f32, {5, 3});
  op.experts = ExpertList{experts, make_tensor(expert.data(), DType::i32, {5, 2}),
                          make_tensor(weight.data(), DType::f32, {5, 2})};
  EXPECT_EQ(refusal(op), "mm_all_reduce: x1 [2,2,4] f32 has 2 in dimension 0, 5 wanted (the rows of y)");
}

}  // namespace
}  // namespace tandem
