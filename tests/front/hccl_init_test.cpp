// SPDX-License-Identifier: Apache-2.0
// Communicators by rank table, from other communicators, with configs of every version; the calls around them.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "acl/acl_prof.h"
#include "hccl/hccl.h"
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

// Sum of rank + 1 over the ranks of `comm`.
float sum_of_ranks(HcclComm comm) {
  uint32_t rank = 0;
  aclrtStream stream = nullptr;
  void* data = nullptr;
  EXPECT_EQ(HcclGetRankId(comm, &rank), HCCL_SUCCESS);
  EXPECT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  EXPECT_EQ(aclrtMalloc(&data, sizeof(float), ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  float value = static_cast<float>(rank + 1);
  std::memcpy(data, &value, sizeof(value));
  EXPECT_EQ(HcclAllReduce(data, data, 1, HCCL_DATA_TYPE_FP32, HCCL_REDUCE_SUM, comm, stream), HCCL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStream(stream), ACL_SUCCESS);
  std::memcpy(&value, data, sizeof(value));
  EXPECT_EQ(aclrtFree(data), ACL_SUCCESS);
  EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
  return value;
}

bool last_error_says(const char* part) {
  const char* text = aclGetRecentErrMsg();
  return text != nullptr && std::strstr(text, part) != nullptr;
}

// A rank table in a file of its own; the server's id keeps tests that run at the same time apart.
class TableFile {
 public:
  TableFile(int ranks, int servers, const std::string& status = "completed")
      : path(testing::TempDir() + "tandem-rank-table-" + std::to_string(getpid()) + ".json") {
    std::ofstream file(path);
    file << R"({"version":"1.0","status":")" << status << R"(","server_list":[)";
    for (int rank = 0; rank < ranks; ++rank) {
      const bool opens = rank == 0 || rank * servers / ranks != (rank - 1) * servers / ranks;
      file << (opens ? rank == 0 ? "" : "]}," : ",");
      if (opens) file << R"({"server_id":"s)" << rank << "-" << getpid() << R"(","device":[)";
      file << R"({"device_id":")" << rank << R"(","rank_id":")" << rank << R"("})";
    }
    file << "]}]}";
  }
  ~TableFile() { std::filesystem::remove(path); }
  TableFile(const TableFile&) = delete;
  TableFile& operator=(const TableFile&) = delete;
  const std::string path;
};

TEST(HcclCluster, RanksMeetByRankTable) {
  const TableFile table(3, 1);
  on_ranks(3, [&](int rank) {
    HcclComm comm = nullptr;
    ASSERT_EQ(HcclCommInitClusterInfo(table.path.c_str(), static_cast<uint32_t>(rank), &comm), HCCL_SUCCESS)
        << aclGetRecentErrMsg();
    uint32_t size = 0;
    EXPECT_EQ(HcclGetRankSize(comm, &size), HCCL_SUCCESS);
    EXPECT_EQ(size, 3u);
    EXPECT_EQ(sum_of_ranks(comm), 6.0F);
    EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  });
}

TEST(HcclCluster, TheVariableNamesTheTable) {
  const TableFile table(2, 1);
  setenv("RANK_TABLE_FILE", table.path.c_str(), 1);
  on_ranks(2, [&](int rank) {
    HcclCommConfig config;
    HcclCommConfigInit(&config);
    std::strcpy(config.hcclCommName, "by table");
    HcclComm comm = nullptr;
    ASSERT_EQ(HcclCommInitClusterInfoConfig(rank == 0 ? nullptr : "", static_cast<uint32_t>(rank), &config, &comm),
              HCCL_SUCCESS)
        << aclGetRecentErrMsg();
    EXPECT_EQ(name_of(comm), "by table");
    EXPECT_EQ(sum_of_ranks(comm), 3.0F);
    EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  });
  unsetenv("RANK_TABLE_FILE");
}

TEST(HcclCluster, TheTableItself) {
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  HcclCommConfig config;
  HcclCommConfigInit(&config);
  HcclComm comm = nullptr;
  const char* table = R"({"version":"1.0","status":"completed","server_list":[{"server_id":"memory","device":[
      {"device_id":"0","rank_id":"0"}]}]})";
  ASSERT_EQ(HcclCommInitClusterInfoMemConfig(table, 0, &config, &comm), HCCL_SUCCESS) << aclGetRecentErrMsg();
  EXPECT_EQ(sum_of_ranks(comm), 1.0F);
  EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  table = R"({"version":"1.0","status":"initializing"})";
  EXPECT_EQ(HcclCommInitClusterInfoMemConfig(table, 0, &config, &comm), HCCL_E_PARA);
  EXPECT_EQ(HcclCommInitClusterInfoMemConfig("[", 0, &config, &comm), HCCL_E_PARA);
  EXPECT_TRUE(last_error_says("EI0004")) << aclGetRecentErrMsg();
  EXPECT_EQ(HcclCommInitClusterInfoMemConfig(nullptr, 0, &config, &comm), HCCL_E_PTR);
}

TEST(HcclCluster, WrongTablesAreNamed) {
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  HcclComm comm = nullptr;
  EXPECT_EQ(HcclCommInitClusterInfo("/no/such/table.json", 0, &comm), HCCL_E_OPEN_FILE_FAILURE);
  EXPECT_TRUE(last_error_says("EI0004") && last_error_says("/no/such/table.json")) << aclGetRecentErrMsg();
  EXPECT_EQ(HcclCommInitClusterInfo(nullptr, 0, &comm), HCCL_E_PTR);
  EXPECT_TRUE(last_error_says("RANK_TABLE_FILE"));
  EXPECT_EQ(HcclCommInitClusterInfo("x", 0, nullptr), HCCL_E_PTR);
  EXPECT_EQ(HcclCommInitClusterInfoConfig("x", 0, nullptr, &comm), HCCL_E_PTR);
  {
    const TableFile table(2, 1, "odd");
    EXPECT_EQ(HcclCommInitClusterInfo(table.path.c_str(), 0, &comm), HCCL_E_PARA);
    EXPECT_TRUE(last_error_says("EI0004") && last_error_says("status is \"odd\"")) << aclGetRecentErrMsg();
  }
  {
    const TableFile table(2, 1);
    for (const uint32_t rank : {2u, 0xffffffffu}) {
      EXPECT_EQ(HcclCommInitClusterInfo(table.path.c_str(), rank, &comm), HCCL_E_PARA);
      EXPECT_TRUE(last_error_says("EI0014") && last_error_says("0 to 1 wanted")) << aclGetRecentErrMsg();
    }
  }
}

TEST(HcclSub, EvenAndOddRanks) {
  const auto world = make_comms(5);
  on_ranks(5, [&](int rank) {
    const bool even = rank % 2 == 0;
    std::vector<uint32_t> ranks = even ? std::vector<uint32_t>{0, 2, 4} : std::vector<uint32_t>{1, 3};
    HcclCommConfig config;
    HcclCommConfigInit(&config);
    HcclComm parent = world[static_cast<size_t>(rank)], sub = nullptr;
    ASSERT_EQ(HcclCreateSubCommConfig(&parent, static_cast<uint32_t>(ranks.size()), ranks.data(), even ? 1 : 2,
                                      static_cast<uint32_t>(rank / 2), &config, &sub),
              HCCL_SUCCESS)
        << aclGetRecentErrMsg();
    EXPECT_EQ(sum_of_ranks(sub), even ? 6.0F : 3.0F);
    EXPECT_EQ(name_of(sub), name_of(parent) + (even ? "_sub_1" : "_sub_2"));
    EXPECT_EQ(sum_of_ranks(parent), 15.0F);
    EXPECT_EQ(HcclCommDestroy(sub), HCCL_SUCCESS);
    EXPECT_EQ(HcclCommDestroy(parent), HCCL_SUCCESS);
  });
}

TEST(HcclSub, ChecksItsArguments) {
  const auto world = make_comms(2);
  HcclComm parent = world[0], sub = world[0];
  HcclCommConfig config;
  HcclCommConfigInit(&config);
  uint32_t ranks[] = {0, 1, 2};
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 0, nullptr, 0xffffffffu, 0, nullptr, &sub), HCCL_SUCCESS);
  EXPECT_EQ(sub, nullptr);
  EXPECT_EQ(HcclCreateSubCommConfig(nullptr, 2, ranks, 1, 0, &config, &sub), HCCL_E_PTR);
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 2, ranks, 1, 0, &config, nullptr), HCCL_E_PTR);
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 2, nullptr, 1, 0, &config, &sub), HCCL_E_PTR);
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 2, ranks, 1, 0, nullptr, &sub), HCCL_E_PTR);
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 3, ranks, 1, 0, &config, &sub), HCCL_E_PARA);
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 0, ranks, 1, 0, &config, &sub), HCCL_E_PARA);
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 2, ranks, 1, 2, &config, &sub), HCCL_E_PARA);
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 2, ranks, 1, 1, &config, &sub), HCCL_E_PARA);
  EXPECT_TRUE(last_error_says("rankIds[1] is 1, this rank's 0 wanted")) << aclGetRecentErrMsg();
  uint32_t beyond[] = {0, 7};
  EXPECT_EQ(HcclCreateSubCommConfig(&parent, 2, beyond, 1, 0, &config, &sub), HCCL_E_PARA);
  EXPECT_TRUE(last_error_says("rank 7 listed")) << aclGetRecentErrMsg();
  for (HcclComm comm : world) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

// A config as a program of version 5 of the struct has it, in memory of exactly that size.
TEST(HcclConfig, OlderProgramsHaveShorterStructs) {
  constexpr size_t kVersion5 = offsetof(HcclCommConfig, hcclWorldRankID);
  HcclCommConfig whole;
  HcclCommConfigInit(&whole);
  std::strcpy(whole.hcclCommName, "older");
  const uint32_t version = 5;
  std::memcpy(whole.reserved, &kVersion5, sizeof(kVersion5));
  std::memcpy(whole.reserved + 12, &version, sizeof(version));
  std::vector<char> memory(kVersion5);
  std::memcpy(memory.data(), &whole, kVersion5);
  HcclRootInfo info;
  HcclComm comm = nullptr;
  ASSERT_EQ(HcclGetRootInfo(&info), HCCL_SUCCESS);
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  const auto* config = reinterpret_cast<const HcclCommConfig*>(memory.data());
  ASSERT_EQ(HcclCommInitRootInfoConfig(1, &info, 0, config, &comm), HCCL_SUCCESS) << aclGetRecentErrMsg();
  EXPECT_EQ(name_of(comm), "older");
  EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

TEST(HcclConfig, RefusesWhatItCannotMean) {
  HcclRootInfo info;
  HcclComm comm = nullptr;
  ASSERT_EQ(HcclGetRootInfo(&info), HCCL_SUCCESS);
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  const auto refused = [&](const char* part, auto&& change) {
    HcclCommConfig config;
    HcclCommConfigInit(&config);
    change(config);
    EXPECT_EQ(HcclCommInitRootInfoConfig(1, &info, 0, &config, &comm), HCCL_E_PARA) << part;
    EXPECT_TRUE(last_error_says(part)) << aclGetRecentErrMsg();
  };
  refused("HcclCommConfigInit", [](HcclCommConfig& config) { std::memset(config.reserved, 0, 8); });
  refused("hcclBufferSize", [](HcclCommConfig& config) { config.hcclBufferSize = 0; });
  refused("hcclDeterministic", [](HcclCommConfig& config) { config.hcclDeterministic = 3; });
  refused("hcclExecTimeOut", [](HcclCommConfig& config) { config.hcclExecTimeOut = -2; });
  refused("hcclCommName", [](HcclCommConfig& config) { std::memset(config.hcclCommName, 'x', 128); });
  EXPECT_EQ(HcclCommInitRootInfoConfig(1, &info, 0, nullptr, &comm), HCCL_E_PTR);
}

// The communicator's own limit, not the environment's, ends the wait for a rank that does not come.
TEST(HcclConfig, ExecTimeoutOfOneCommunicator) {
  HcclRootInfo info;
  ASSERT_EQ(HcclGetRootInfo(&info), HCCL_SUCCESS);
  on_ranks(2, [&](int rank) {
    HcclCommConfig config;
    HcclCommConfigInit(&config);
    config.hcclExecTimeOut = 1;
    config.hcclBufferSize = 1;
    HcclComm comm = nullptr;
    ASSERT_EQ(HcclCommInitRootInfoConfig(2, &info, static_cast<uint32_t>(rank), &config, &comm), HCCL_SUCCESS);
    if (rank == 0) {
      aclrtStream stream = nullptr;
      EXPECT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
      EXPECT_EQ(HcclBarrier(comm, stream), HCCL_SUCCESS);
      EXPECT_EQ(aclrtSynchronizeStream(stream), ACL_ERROR_RT_TASK_TIMEOUT);
      EXPECT_TRUE(last_error_says("rank 1 has not called barrier")) << aclGetRecentErrMsg();
      EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
    }
    HcclResult state = HCCL_SUCCESS;
    for (int tries = 0; state == HCCL_SUCCESS && tries < 20'000; ++tries) {
      EXPECT_EQ(HcclGetCommAsyncError(comm, &state), HCCL_SUCCESS);
      usleep(1000);
    }
    EXPECT_EQ(state, HCCL_E_TIMEOUT);
    EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  });
}

TEST(HcclManagement, SuspendedUntilResumed) {
  const auto comms = make_comms(1);
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  aclrtStream stream = nullptr;
  ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  HcclCommStatus status = HCCL_COMM_STATUS_RESERVED;
  const std::string name = name_of(comms[0]);
  EXPECT_EQ(HcclCommSuspend(comms[0]), HCCL_SUCCESS);
  EXPECT_EQ(HcclBarrier(comms[0], stream), HCCL_E_SUSPENDING);
  EXPECT_EQ(HcclCommGetStatus(name.c_str(), &status), HCCL_SUCCESS);
  EXPECT_EQ(status, HCCL_COMM_STATUS_SUSPENDING);
  EXPECT_EQ(HcclCommResume(comms[0]), HCCL_SUCCESS);
  EXPECT_EQ(HcclBarrier(comms[0], stream), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommGetStatus(name.c_str(), &status), HCCL_SUCCESS);
  EXPECT_EQ(status, HCCL_COMM_STATUS_READY);
  EXPECT_EQ(aclrtSynchronizeStream(stream), ACL_SUCCESS);
  EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
  HcclComm found = nullptr;
  EXPECT_EQ(HcclCommGetHandleWithName(name.c_str(), &found), HCCL_SUCCESS);
  EXPECT_EQ(found, comms[0]);
  EXPECT_EQ(HcclCommGetHandleWithName("none", &found), HCCL_E_NOT_FOUND);
  EXPECT_EQ(HcclCommDestroy(comms[0]), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommSuspend(comms[0]), HCCL_E_PARA);
  EXPECT_EQ(HcclCommGetStatus(name.c_str(), &status), HCCL_SUCCESS);
  EXPECT_EQ(status, HCCL_COMM_STATUS_INVALID);
}

// Both ranks send first and receive second: without a group neither send would end.
TEST(HcclManagement, MessagesOfAGroupStartTogether) {
  const auto comms = make_comms(2);
  on_ranks(2, [&](int rank) {
    const HcclComm comm = comms[static_cast<size_t>(rank)];
    const auto peer = static_cast<uint32_t>(1 - rank);
    constexpr size_t kCount = size_t{1} << 20;
    void *sent = nullptr, *received = nullptr;
    aclrtStream stream = nullptr;
    ASSERT_EQ(aclrtMalloc(&sent, kCount * 4, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
    ASSERT_EQ(aclrtMalloc(&received, kCount * 4, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
    std::memset(sent, 1 + rank, kCount * 4);
    ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
    bool inside = false;
    EXPECT_EQ(HcclGroupStart(), HCCL_SUCCESS);
    EXPECT_EQ(HcclSend(sent, kCount, HCCL_DATA_TYPE_FP32, peer, comm, stream), HCCL_SUCCESS);
    EXPECT_EQ(HcclRecv(received, kCount, HCCL_DATA_TYPE_FP32, peer, comm, stream), HCCL_SUCCESS);
    EXPECT_EQ(HcclGroupStatusGet(&inside), HCCL_SUCCESS);
    EXPECT_TRUE(inside);
    EXPECT_EQ(HcclGroupEnd(), HCCL_SUCCESS) << aclGetRecentErrMsg();
    EXPECT_EQ(HcclGroupEnd(), HCCL_E_NOT_SUPPORT);
    EXPECT_EQ(aclrtSynchronizeStream(stream), ACL_SUCCESS) << aclGetRecentErrMsg();
    EXPECT_EQ(static_cast<const char*>(received)[kCount * 4 - 1], 2 - rank);
    EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
    EXPECT_EQ(aclrtFree(sent), ACL_SUCCESS);
    EXPECT_EQ(aclrtFree(received), ACL_SUCCESS);
    EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  });
}

TEST(HcclManagement, MemoryIsAnnouncedAndFound) {
  const auto comms = make_comms(1);
  std::vector<char> memory(4096);
  HcclCommSymWindow window = nullptr, found = nullptr;
  size_t offset = 0;
  EXPECT_EQ(HcclCommSetMemoryRange(comms[0], memory.data(), memory.size(), 0, 0), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommActivateCommMemory(comms[0], memory.data(), memory.size(), 0, memory.data(), 0), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommActivateCommMemory(comms[0], memory.data(), memory.size(), 0, nullptr, 0), HCCL_E_PTR);
  EXPECT_EQ(HcclCommDeactivateCommMemory(comms[0], memory.data()), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommUnsetMemoryRange(comms[0], memory.data()), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommSetMemoryRange(comms[0], nullptr, 1, 0, 0), HCCL_E_PTR);
  EXPECT_EQ(HcclCommSymWinRegister(comms[0], memory.data(), 0, &window, 1), HCCL_E_PARA);
  EXPECT_EQ(HcclCommSymWinRegister(comms[0], memory.data(), memory.size(), &window, 1), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommSymWinGet(comms[0], memory.data() + 100, 3996, &found, &offset), HCCL_SUCCESS);
  EXPECT_EQ(found, window);
  EXPECT_EQ(offset, 100u);
  EXPECT_EQ(HcclCommSymWinGet(comms[0], memory.data() + 100, 3997, &found, &offset), HCCL_E_NOT_FOUND);
  EXPECT_EQ(HcclCommSymWinGet(comms[0], memory.data() + 100, SIZE_MAX, &found, &offset), HCCL_E_NOT_FOUND);
  EXPECT_EQ(HcclCommSymWinDeregister(window), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommSymWinDeregister(window), HCCL_E_PARA);
  EXPECT_EQ(HcclCommWorkingDevNicSet(comms[0], nullptr, nullptr, 0), HCCL_E_NOT_SUPPORT);
  EXPECT_EQ(HcclCommDestroy(comms[0]), HCCL_SUCCESS);
}

TEST(Profiling, AcceptsAndDoesNothing) {
  EXPECT_EQ(aclprofInit("/tmp", 4), ACL_SUCCESS);
  EXPECT_NE(aclprofInit(nullptr, 0), ACL_SUCCESS);
  uint32_t device = 0;
  aclprofConfig* config = aclprofCreateConfig(&device, 1, ACL_AICORE_PIPE_UTILIZATION, nullptr, ACL_PROF_TASK_TIME);
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(aclprofStart(config), ACL_SUCCESS);
  EXPECT_EQ(aclprofStop(config), ACL_SUCCESS);
  EXPECT_NE(aclprofStart(nullptr), ACL_SUCCESS);
  EXPECT_EQ(aclprofDestroyConfig(config), ACL_SUCCESS);
  EXPECT_EQ(aclprofFinalize(), ACL_SUCCESS);
}

}  // namespace
