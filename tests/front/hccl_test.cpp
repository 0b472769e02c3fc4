// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include "problem.h"

namespace {

// Runs `work(rank)` on one thread per rank, each on its own device.
template <class Work>
void on_ranks(int count, Work work) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&work, rank] {
      ASSERT_EQ(aclrtSetDevice(rank), ACL_SUCCESS);
      work(rank);
    });
  }
  for (auto& thread : threads) thread.join();
}

// One whole call; the code and message of the synchronisation come back.
std::pair<aclError, std::string> call_once(const std::string& group, int64_t rows, float expected) {
  aclrtStream stream = nullptr;
  EXPECT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  std::pair<aclError, std::string> result;
  {
    Call call(group, rows);
    EXPECT_EQ(call.plan(), 0) << aclGetRecentErrMsg();
    EXPECT_EQ(call.run(stream), 0);
    result.first = aclrtSynchronizeStream(stream);
    if (result.first == ACL_SUCCESS) {
      EXPECT_EQ(call.y(), expected);
    } else {
      result.second = aclGetRecentErrMsg();
    }
    EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
  }
  return result;
}

TEST(Hccl, OneNameForAllRanks) {
  const auto comms = make_comms(8);
  std::set<std::string> names;
  for (uint32_t i = 0; i < 8; ++i) {
    uint32_t rank = 99, size = 99;
    EXPECT_EQ(HcclGetRankId(comms[i], &rank), HCCL_SUCCESS);
    EXPECT_EQ(HcclGetRankSize(comms[i], &size), HCCL_SUCCESS);
    EXPECT_EQ(rank, i);
    EXPECT_EQ(size, 8u);
    names.insert(name_of(comms[i]));
  }
  EXPECT_EQ(names.size(), 1u);
  EXPECT_LT(names.begin()->size(), 128u);
  const auto others = make_comms(8);
  EXPECT_EQ(names.count(name_of(others[0])), 0u);
  for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommDestroy(comms[0]), HCCL_E_PARA);
  for (HcclComm comm : others) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

TEST(Hccl, ChecksItsArguments) {
  HcclComm comms[2] = {};
  int32_t twice[] = {1, 1}, beyond[] = {0, 99};
  EXPECT_EQ(HcclCommInitAll(0, nullptr, comms), HCCL_E_PARA);
  EXPECT_EQ(HcclCommInitAll(2, nullptr, nullptr), HCCL_E_PTR);
  EXPECT_EQ(HcclCommInitAll(2, twice, comms), HCCL_E_PARA);
  EXPECT_EQ(HcclCommInitAll(2, beyond, comms), HCCL_E_PARA);
  EXPECT_NE(std::strstr(aclGetRecentErrMsg(), "99"), nullptr);
  EXPECT_EQ(HcclCommInitAll(9, nullptr, comms), HCCL_E_PARA);
  EXPECT_EQ(HcclCommDestroy(nullptr), HCCL_E_PTR);
  char name[128];
  EXPECT_EQ(HcclGetCommName(&name, name), HCCL_E_PARA);
  EXPECT_STREQ(HcclGetErrorString(HCCL_E_PARA), "parameter error");
  EXPECT_STREQ(HcclGetErrorString(HCCL_E_IN_STATUS), "unknown error");
  EXPECT_EQ(HcclGetCommConfigCapability(), static_cast<uint32_t>(HCCL_COMM_CONFIG_RESERVED));
}

TEST(Hccl, RanksMeetByRootInfo) {
  HcclRootInfo info;
  ASSERT_EQ(HcclGetRootInfo(&info), HCCL_SUCCESS);
  EXPECT_STREQ(info.internal, "127.0.0.1");
  on_ranks(4, [&](int rank) {
    HcclComm comm = nullptr;
    ASSERT_EQ(HcclCommInitRootInfo(4, &info, static_cast<uint32_t>(rank), &comm), HCCL_SUCCESS) << aclGetRecentErrMsg();
    EXPECT_EQ(call_once(name_of(comm), 4, 32.0F).first, ACL_SUCCESS);
    EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  });
}

TEST(Hccl, ConfigNamesTheCommunicator) {
  HcclRootInfo info;
  HcclCommConfig config;
  HcclCommConfigInit(&config);
  std::strcpy(config.hcclCommName, "chosen name");
  ASSERT_EQ(HcclGetRootInfo(&info), HCCL_SUCCESS);
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  HcclComm comm = nullptr;
  ASSERT_EQ(HcclCommInitRootInfoConfig(1, &info, 0, &config, &comm), HCCL_SUCCESS);
  EXPECT_EQ(name_of(comm), "chosen name");
  EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  std::memset(&config, 0, sizeof(config));
  EXPECT_EQ(HcclCommInitRootInfoConfig(1, &info, 0, &config, &comm), HCCL_E_PARA);
  std::memset(&info, 'x', sizeof(info));
  EXPECT_EQ(HcclCommInitRootInfo(1, &info, 0, &comm), HCCL_E_PARA);
  EXPECT_EQ(HcclCommInitRootInfo(1, &info, 1, &comm), HCCL_E_PARA);
}

TEST(Hccl, DestroyAfterTheDeviceWasReset) {
  const auto comms = make_comms(2);
  const std::string group = name_of(comms[0]);
  on_ranks(2, [&](int rank) {
    EXPECT_EQ(call_once(group, 4, 16.0F).first, ACL_SUCCESS);
    EXPECT_EQ(aclrtResetDevice(rank), ACL_SUCCESS);
  });
  for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

// A rank that never comes is named by the one that waited, on the thread that synchronised.
TEST(Hccl, MissingRankIsNamed) {
  setenv("HCCL_EXEC_TIMEOUT", "1", 1);
  const auto comms = make_comms(2);
  const std::string group = name_of(comms[0]);
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  const auto [code, message] = call_once(group, 4, 0);
  EXPECT_EQ(code, ACL_ERROR_RT_TASK_TIMEOUT);
  EXPECT_NE(message.find("rank 1"), std::string::npos) << message;
  HcclResult state = HCCL_SUCCESS;
  EXPECT_EQ(HcclGetCommAsyncError(comms[0], &state), HCCL_SUCCESS);
  EXPECT_EQ(state, HCCL_E_TIMEOUT);
  for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

// The executor still holds the destroyed communicator; the peer inside an operator learns that its rank left.
TEST(Hccl, DestroyedRankLeavesAtOnce) {
  const auto comms = make_comms(2);
  const std::string group = name_of(comms[0]);
  ASSERT_EQ(aclrtSetDevice(1), ACL_SUCCESS);
  aclrtStream stream = nullptr;
  ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  Call kept(group);
  ASSERT_EQ(kept.plan(), 0) << aclGetRecentErrMsg();
  ASSERT_EQ(aclSetAclOpExecutorRepeatable(kept.executor), 0);
  std::thread peer([&] {
    ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
    const auto [code, message] = call_once(group, 4, 0);
    EXPECT_EQ(code, ACL_ERROR_RT_SUSPECT_REMOTE_ERROR) << message;
    EXPECT_NE(message.find("rank 1 left"), std::string::npos) << message;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(HcclCommDestroy(comms[1]), HCCL_SUCCESS);
  peer.join();
  Call later(group);
  EXPECT_NE(later.plan(), 0);
  EXPECT_EQ(kept.run(stream), 0);
  EXPECT_NE(aclrtSynchronizeStream(stream), ACL_SUCCESS);
  EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
  EXPECT_EQ(aclDestroyAclOpExecutor(kept.executor), 0);
  EXPECT_EQ(HcclCommDestroy(comms[0]), HCCL_SUCCESS);
}

TEST(Hccl, DifferentShapesAreAnErrorOnAllRanks) {
  const auto comms = make_comms(2);
  const std::string group = name_of(comms[0]);
  on_ranks(2, [&](int rank) {
    const auto [code, message] = call_once(group, rank == 0 ? 4 : 5, 0);
    EXPECT_EQ(code, ACL_ERROR_RT_PARAM_INVALID) << message;
    EXPECT_NE(message.find("rank "), std::string::npos) << message;
  });
  for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

}  // namespace
