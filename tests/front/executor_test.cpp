// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <thread>

#include "aclnn/opdev/op_errno.h"
#include "problem.h"

namespace {

class Executors : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(aclInit(nullptr), ACL_SUCCESS);
    comms_ = make_comms(1);
    ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
    ASSERT_EQ(aclrtCreateStream(&stream_), ACL_SUCCESS);
    group_ = name_of(comms_[0]);
  }
  void TearDown() override {
    EXPECT_EQ(aclrtDestroyStream(stream_), ACL_SUCCESS);
    EXPECT_EQ(HcclCommDestroy(comms_[0]), HCCL_SUCCESS);
  }

  std::vector<HcclComm> comms_;
  aclrtStream stream_ = nullptr;
  std::string group_;
};

TEST_F(Executors, AreUsedUpByTheSecondPhase) {
  Call call(group_);
  ASSERT_EQ(call.plan(), 0);
  EXPECT_GE(call.workspace_size, 512u);
  EXPECT_EQ(call.run(stream_), 0);
  EXPECT_EQ(call.run(stream_), ACLNN_ERR_PARAM_INVALID);
  EXPECT_EQ(aclDestroyAclOpExecutor(call.executor), ACLNN_ERR_PARAM_INVALID);
  ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(call.y(), 8.0F);
}

TEST_F(Executors, SurviveARefusedSecondPhase) {
  Call call(group_);
  ASSERT_EQ(call.plan(), 0);
  EXPECT_EQ(aclnnWeightQuantMatmulAllReduceAddRmsNorm(nullptr, 0, call.executor, stream_), ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_EQ(aclnnWeightQuantMatmulAllReduceAddRmsNorm(call.workspace, 1, call.executor, stream_),
            ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_EQ(aclnnWeightQuantMatmulAllReduceAddRmsNorm(call.workspace, call.workspace_size, nullptr, stream_),
            ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_EQ(call.run(&call), ACLNN_ERR_PARAM_INVALID);  // no stream
  EXPECT_EQ(call.run(stream_), 0);
  ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(call.y(), 8.0F);
}

TEST_F(Executors, RefuseAStreamOfAnotherDevice) {
  aclrtStream other = nullptr;
  Call call(group_);
  ASSERT_EQ(call.plan(), 0);
  ASSERT_EQ(aclrtSetDevice(1), ACL_SUCCESS);
  ASSERT_EQ(aclrtCreateStream(&other), ACL_SUCCESS);
  EXPECT_EQ(call.run(other), ACLNN_ERR_PARAM_INVALID);
  EXPECT_EQ(call.run(stream_), 0);
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(aclrtDestroyStream(other), ACL_SUCCESS);
}

TEST_F(Executors, AreFreedByFinalize) {
  Call call(group_);
  ASSERT_EQ(call.plan(), 0);
  ASSERT_EQ(aclFinalize(), ACL_SUCCESS);
  EXPECT_EQ(call.run(stream_), ACLNN_ERR_PARAM_INVALID);
}

TEST_F(Executors, RepeatWithOtherAddresses) {
  Call call(group_);
  ASSERT_EQ(call.plan(), 0);
  ASSERT_EQ(aclSetAclOpExecutorRepeatable(call.executor), 0);
  for (const float value : {1.0F, 2.0F, 3.0F}) {
    aclTensor* other = call.halves({4, 8}, value);
    void* address = nullptr;
    ASSERT_EQ(aclGetRawTensorAddr(other, &address), 0);
    ASSERT_EQ(aclSetInputTensorAddr(call.executor, 0, call.x1, address), 0);
    ASSERT_EQ(call.run(stream_), 0);
    ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
    EXPECT_EQ(call.y(), 8 * value);
  }
  EXPECT_EQ(aclSetInputTensorAddr(call.executor, 2, call.x1, nullptr), ACLNN_ERR_PARAM_INVALID);  // absent bias
  EXPECT_EQ(aclSetInputTensorAddr(call.executor, 7, call.x1, nullptr), ACLNN_ERR_PARAM_INVALID);
  EXPECT_EQ(aclSetTensorAddr(call.executor, 9, call.out, nullptr), ACLNN_ERR_PARAM_INVALID);
  EXPECT_EQ(aclSetOutputTensorAddr(call.executor, 0, nullptr, nullptr), ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_EQ(aclDestroyAclOpExecutor(call.executor), 0);
  EXPECT_EQ(call.run(stream_), ACLNN_ERR_PARAM_INVALID);
}

// A column of i4 runs along k, whichever way its strides say so.
TEST_F(Executors, TakeAColumnOfInt4) {
  constexpr int64_t kDepth = 64;
  const std::vector<uint8_t> ones(kDepth / 2, 0x11);
  for (const auto& strides : {std::vector<int64_t>{1, kDepth}, std::vector<int64_t>{1, 1}}) {
    Call call(group_, 4, kDepth, 1);
    const int64_t dims[] = {kDepth, 1}, stored[] = {1, kDepth};
    void* block = nullptr;
    ASSERT_EQ(aclrtMalloc(&block, ones.size(), ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
    ASSERT_EQ(aclrtMemcpy(block, ones.size(), ones.data(), ones.size(), ACL_MEMCPY_HOST_TO_DEVICE), ACL_SUCCESS);
    call.x2 = aclCreateTensor(dims, 2, ACL_INT4, strides.data(), 0, ACL_FORMAT_ND, stored, 2, block);
    ASSERT_EQ(call.plan(), 0) << aclGetRecentErrMsg();
    ASSERT_EQ(call.run(stream_), 0) << aclGetRecentErrMsg();
    ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
    EXPECT_EQ(call.y(), 64.0F);
    EXPECT_EQ(aclDestroyTensor(call.x2), 0);
    EXPECT_EQ(aclrtFree(block), ACL_SUCCESS);
  }
}

TEST_F(Executors, WantAddresses) {
  Call call(group_);
  ASSERT_EQ(aclSetRawTensorAddr(call.x1, nullptr), 0);
  ASSERT_EQ(call.plan(), 0);
  EXPECT_EQ(call.run(stream_), ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_EQ(aclDestroyAclOpExecutor(call.executor), 0);
}

TEST_F(Executors, NeedADevice) {
  Call call(group_);
  std::thread([&] { EXPECT_EQ(call.plan(), ACLNN_ERR_RUNTIME_ERROR); }).join();
}

TEST_F(Executors, AreUsedOnceByManyThreads) {
  Call call(group_);
  ASSERT_EQ(call.plan(), 0);
  std::atomic<int> accepted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      if (call.run(stream_) == 0) ++accepted;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(accepted, 1);
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
}

class Strict : public Executors {
 protected:
  void SetUp() override {
    setenv("TANDEM_STRICT", "1", 1);
    Executors::SetUp();
  }
};

TEST_F(Strict, GivesTheVendorsCodes) {
  Call call(group_);
  call.residual = call.halves({4, 16}, 0);
  EXPECT_EQ(call.plan(), ACLNN_ERR_INNER_TILING_ERROR);
  EXPECT_EQ(aclnnWeightQuantMatmulAllReduceAddRmsNorm(nullptr, 0, nullptr, stream_), ACLNN_ERR_INNER);
  EXPECT_EQ(aclSetTensorAddr(nullptr, 0, call.x1, nullptr), ACLNN_ERR_INNER_NULLPTR);
  EXPECT_EQ(AclSetInputTensorAddr(nullptr, 0, call.x1, nullptr), ACLNN_ERR_INNER_NULLPTR);
  EXPECT_EQ(aclSetOutputTensorAddr(nullptr, 0, call.x1, nullptr), ACLNN_ERR_INNER_NULLPTR);
  EXPECT_EQ(aclSetDynamicTensorAddr(nullptr, 0, 0, nullptr, nullptr), ACLNN_ERR_INNER_NULLPTR);
  EXPECT_EQ(aclSetAclOpExecutorRepeatable(nullptr), ACLNN_ERR_INNER_NULLPTR);
  Call unknown("no such group");
  EXPECT_EQ(unknown.plan(), ACLNN_ERR_INNER_TILING_ERROR);
  const auto three = make_comms(3);
  Call odd(name_of(three[0]));
  EXPECT_EQ(odd.plan(), ACLNN_ERR_PARAM_INVALID);
  for (HcclComm comm : three) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

}  // namespace
