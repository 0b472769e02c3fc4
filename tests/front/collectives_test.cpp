// SPDX-License-Identifier: Apache-2.0
// The cases of tests/cases/collectives.json and the refusals, as a program of HCCL sees them.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <thread>

#include "../ranks/collective_cases.h"
#include "hccl/hccl.h"
#include "problem.h"
#include "tandem/kernels/table.h"

namespace {

using tandem::Combine;
using tandem::DType;
using tandem::test::Bytes;
using tandem::test::CollectiveCase;

constexpr int kDevices = 8;

void on_ranks(size_t count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&work, rank] {
      ASSERT_EQ(aclrtSetDevice(static_cast<int>(rank)), ACL_SUCCESS);
      work(static_cast<int>(rank));
    });
  }
  for (auto& thread : threads) thread.join();
}

HcclDataType type_of(DType type) {
  static const std::map<DType, HcclDataType> types = {
      {DType::i8, HCCL_DATA_TYPE_INT8},    {DType::i16, HCCL_DATA_TYPE_INT16},  {DType::i32, HCCL_DATA_TYPE_INT32},
      {DType::i64, HCCL_DATA_TYPE_INT64},  {DType::u8, HCCL_DATA_TYPE_UINT8},   {DType::u16, HCCL_DATA_TYPE_UINT16},
      {DType::u32, HCCL_DATA_TYPE_UINT32}, {DType::u64, HCCL_DATA_TYPE_UINT64}, {DType::f16, HCCL_DATA_TYPE_FP16},
      {DType::bf16, HCCL_DATA_TYPE_BFP16}, {DType::f32, HCCL_DATA_TYPE_FP32},   {DType::f64, HCCL_DATA_TYPE_FP64}};
  return types.at(type);
}

HcclReduceOp op_of(Combine how) {
  constexpr HcclReduceOp kOps[] = {HCCL_REDUCE_SUM, HCCL_REDUCE_PROD, HCCL_REDUCE_MAX, HCCL_REDUCE_MIN};
  return kOps[static_cast<int>(how)];
}

// HCCL_SUCCESS, or what the documents refuse.
HcclResult wanted_code(const CollectiveCase& c) {
  if (!c.reduces()) return HCCL_SUCCESS;
  if (c.type == DType::u8 || c.type == DType::u16 || c.type == DType::u32) return HCCL_E_NOT_SUPPORT;
  const bool no_product = c.type == DType::i16 || c.type == DType::bf16;
  return c.how == Combine::product && no_product ? HCCL_E_NOT_SUPPORT : HCCL_SUCCESS;
}

bool combines() { return tandem::default_table().reduce.combine != nullptr; }

bool hccl_has(const CollectiveCase& c) {
  return (combines() || !c.reduces()) && c.ranks <= kDevices && c.op != "gather" && c.how != Combine::average &&
         !(c.in_place && c.op == "all_to_all");
}

HcclResult call_hccl(const CollectiveCase& c, HcclComm comm, int rank, void* in, void* out, aclrtStream stream) {
  const HcclDataType type = type_of(c.type);
  const auto count = static_cast<uint64_t>(c.count);
  const auto root = static_cast<uint32_t>(c.root);
  const auto own = static_cast<size_t>(rank);
  if (c.op == "all_reduce") return HcclAllReduce(in, out, count, type, op_of(c.how), comm, stream);
  if (c.op == "reduce") return HcclReduce(in, out, count, type, op_of(c.how), root, comm, stream);
  if (c.op == "reduce_scatter") return HcclReduceScatter(in, out, count, type, op_of(c.how), comm, stream);
  if (c.op == "all_gather") return HcclAllGather(in, out, count, type, comm, stream);
  if (c.op == "broadcast") return HcclBroadcast(out, count, type, root, comm, stream);
  if (c.op == "scatter") return HcclScatter(in, out, count, type, root, comm, stream);
  if (c.op == "all_to_all") return HcclAlltoAll(in, count, type, out, count, type, comm, stream);
  if (c.op == "all_to_all_vc") return HcclAlltoAllVC(in, c.sends.data(), type, out, type, comm, stream);
  if (c.op == "reduce_scatter_v") {
    return HcclReduceScatterV(in, c.counts.data(), c.at.data(), out, static_cast<uint64_t>(c.counts[own]), type,
                              op_of(c.how), comm, stream);
  }
  if (c.op == "all_gather_v") {
    return HcclAllGatherV(in, static_cast<uint64_t>(c.counts[own]), out, c.counts.data(), c.at.data(), type, comm,
                          stream);
  }
  const auto e = tandem::test::exchange_parts(c, rank);
  return HcclAlltoAllV(in, e.send_counts.data(), e.send_at.data(), type, out, e.receive_counts.data(),
                       e.receive_at.data(), type, comm, stream);
}

// One case on one rank; "" when every byte is right.
std::string run_case(const CollectiveCase& c, HcclComm comm, int rank, aclrtStream stream) {
  auto buffers = tandem::test::make_buffers(c, rank);
  std::byte* in = c.in_place ? buffers.out.data() + buffers.in_at : buffers.in.data();
  const HcclResult code = call_hccl(c, comm, rank, in, buffers.out.data() + buffers.out_at, stream);
  if (code != wanted_code(c)) return c.text() + ": code " + std::to_string(code) + " " + aclGetRecentErrMsg();
  if (code != HCCL_SUCCESS) return {};
  if (aclrtSynchronizeStream(stream) != ACL_SUCCESS) return c.text() + ": " + aclGetRecentErrMsg();
  return buffers.out == tandem::test::expected_output(c, rank) ? "" : c.text() + ": wrong bytes";
}

TEST(HcclCollectives, EveryCaseOfTheSharedList) {
  std::map<int, std::vector<CollectiveCase>> groups;
  for (const CollectiveCase& c : tandem::test::read_collective_cases()) {
    if (hccl_has(c)) groups[c.ranks].push_back(c);
  }
  size_t cases = 0;
  for (const auto& [size, group] : groups) {
    cases += group.size();
    const auto comms = make_comms(size);
    on_ranks(comms.size(), [&](int rank) {
      aclrtStream stream = nullptr;
      ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
      for (const CollectiveCase& c : group) {
        ASSERT_EQ(run_case(c, comms[static_cast<size_t>(rank)], rank, stream), "");
      }
      EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
    });
    for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  }
  EXPECT_GT(cases, 100u);
}

// Many calls in the queue before anybody waits; results of one are the inputs of the next.
TEST(HcclCollectives, QueueUpOnTheStream) {
  if (!combines()) GTEST_SKIP() << "no table combines";
  constexpr int kRounds = 50;
  constexpr uint64_t kCount = 1000;
  const auto comms = make_comms(4);
  on_ranks(4, [&](int rank) {
    HcclComm comm = comms[static_cast<size_t>(rank)];
    aclrtStream stream = nullptr;
    ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
    std::vector<uint64_t> data(kCount, 1), gathered(4 * kCount), scattered(kCount);
    for (int round = 0; round < kRounds; ++round) {
      EXPECT_EQ(HcclAllReduce(data.data(), data.data(), kCount, HCCL_DATA_TYPE_UINT64, HCCL_REDUCE_SUM, comm, stream),
                0);
      EXPECT_EQ(HcclAllGather(data.data(), gathered.data(), kCount, HCCL_DATA_TYPE_UINT64, comm, stream), 0);
      EXPECT_EQ(HcclReduceScatter(gathered.data(), scattered.data(), kCount, HCCL_DATA_TYPE_UINT64, HCCL_REDUCE_MAX,
                                  comm, stream),
                0);
      EXPECT_EQ(HcclBarrier(comm, stream), 0);
    }
    ASSERT_EQ(aclrtSynchronizeStream(stream), ACL_SUCCESS) << aclGetRecentErrMsg();
    uint64_t wanted = 1;
    for (int round = 0; round < kRounds; ++round) wanted *= 4;
    EXPECT_EQ(data, std::vector<uint64_t>(kCount, wanted));
    EXPECT_EQ(scattered, data);
    EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
  });
  for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

TEST(HcclCollectives, MessagesAndBatches) {
  constexpr uint64_t kCount = 70'000;
  const auto comms = make_comms(4);
  on_ranks(4, [&](int rank) {
    HcclComm comm = comms[static_cast<size_t>(rank)];
    aclrtStream stream = nullptr;
    ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
    std::vector<float> own(kCount, static_cast<float>(rank)), other(kCount, -1.0f), ring(kCount, -1.0f);
    if (rank % 2 == 0) {
      EXPECT_EQ(HcclSend(own.data(), kCount, HCCL_DATA_TYPE_FP32, static_cast<uint32_t>(rank + 1), comm, stream), 0);
    } else {
      EXPECT_EQ(HcclRecv(other.data(), kCount, HCCL_DATA_TYPE_FP32, static_cast<uint32_t>(rank - 1), comm, stream), 0);
    }
    HcclSendRecvItem items[] = {
        {HCCL_SEND, own.data(), kCount, HCCL_DATA_TYPE_FP32, static_cast<uint32_t>((rank + 1) % 4)},
        {HCCL_RECV, ring.data(), kCount, HCCL_DATA_TYPE_FP32, static_cast<uint32_t>((rank + 3) % 4)}};
    EXPECT_EQ(HcclBatchSendRecv(items, 2, comm, stream), 0);
    ASSERT_EQ(aclrtSynchronizeStream(stream), ACL_SUCCESS) << aclGetRecentErrMsg();
    const float received = rank % 2 == 1 ? static_cast<float>(rank - 1) : -1.0f;
    EXPECT_EQ(other, std::vector<float>(kCount, received));
    EXPECT_EQ(ring, std::vector<float>(kCount, static_cast<float>((rank + 3) % 4)));
    EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
  });
  for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

class Refusals : public testing::Test {
 protected:
  void SetUp() override {
    comms = make_comms(2);
    ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
    ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  }
  void TearDown() override {
    EXPECT_EQ(aclrtSynchronizeStream(stream), ACL_SUCCESS) << "a refused call was enqueued";
    EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
    for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  }
  HcclResult reduce(HcclDataType type, HcclReduceOp op, uint64_t count = 4) {
    return HcclAllReduce(data, data, count, type, op, comms[0], stream);
  }
  std::vector<HcclComm> comms;
  aclrtStream stream = nullptr;
  int32_t data[64] = {}, other[64] = {};
};

TEST_F(Refusals, TypesAndReductions) {
  for (const auto type : {HCCL_DATA_TYPE_UINT8, HCCL_DATA_TYPE_UINT16, HCCL_DATA_TYPE_UINT32, HCCL_DATA_TYPE_INT128}) {
    EXPECT_EQ(reduce(type, HCCL_REDUCE_SUM), HCCL_E_NOT_SUPPORT);
  }
  EXPECT_EQ(reduce(HCCL_DATA_TYPE_INT16, HCCL_REDUCE_PROD), HCCL_E_NOT_SUPPORT);
  EXPECT_EQ(reduce(HCCL_DATA_TYPE_BFP16, HCCL_REDUCE_PROD), HCCL_E_NOT_SUPPORT);
  EXPECT_NE(std::strstr(aclGetRecentErrMsg(), "HcclAllReduce"), nullptr) << aclGetRecentErrMsg();
  EXPECT_EQ(reduce(HCCL_DATA_TYPE_RESERVED, HCCL_REDUCE_SUM), HCCL_E_PARA);
  EXPECT_EQ(reduce(HCCL_DATA_TYPE_INT8, HCCL_REDUCE_RESERVED), HCCL_E_PARA);
  EXPECT_EQ(reduce(HCCL_DATA_TYPE_INT8, HCCL_REDUCE_SUM, UINT64_MAX), HCCL_E_PARA);
}

TEST_F(Refusals, NullPointersAndHandles) {
  const auto f32 = HCCL_DATA_TYPE_FP32;
  EXPECT_EQ(HcclAllReduce(nullptr, data, 4, f32, HCCL_REDUCE_SUM, comms[0], stream), HCCL_E_PTR);
  EXPECT_EQ(HcclAllReduce(data, nullptr, 4, f32, HCCL_REDUCE_SUM, comms[0], stream), HCCL_E_PTR);
  EXPECT_EQ(HcclAllReduce(data, data, 4, f32, HCCL_REDUCE_SUM, nullptr, stream), HCCL_E_PTR);
  EXPECT_EQ(HcclAllReduce(data, data, 4, f32, HCCL_REDUCE_SUM, comms[0], nullptr), HCCL_E_PTR);
  EXPECT_EQ(HcclAllReduce(data, data, 4, f32, HCCL_REDUCE_SUM, data, stream), HCCL_E_PARA);
  EXPECT_EQ(HcclAllReduce(data, data, 4, f32, HCCL_REDUCE_SUM, comms[0], data), HCCL_E_PARA);
  EXPECT_EQ(HcclAllReduce(data, data, 4, f32, HCCL_REDUCE_SUM, comms[1], stream), HCCL_E_PARA);  // another device's
  EXPECT_EQ(HcclBarrier(comms[0], nullptr), HCCL_E_PTR);
  EXPECT_EQ(HcclBatchSendRecv(nullptr, 1, comms[0], stream), HCCL_E_PTR);
}

TEST_F(Refusals, RanksAndPeers) {
  EXPECT_EQ(HcclBroadcast(data, 4, HCCL_DATA_TYPE_INT8, 2, comms[0], stream), HCCL_E_PARA);
  EXPECT_EQ(HcclScatter(data, other, 4, HCCL_DATA_TYPE_INT8, 2, comms[0], stream), HCCL_E_PARA);
  EXPECT_EQ(HcclSend(data, 4, HCCL_DATA_TYPE_INT8, 0, comms[0], stream), HCCL_E_PARA);
  EXPECT_EQ(HcclRecv(data, 4, HCCL_DATA_TYPE_INT8, 2, comms[0], stream), HCCL_E_PARA);
  HcclSendRecvItem item = {HCCL_SEND, data, 4, HCCL_DATA_TYPE_INT8, 2};
  EXPECT_EQ(HcclBatchSendRecv(&item, 1, comms[0], stream), HCCL_E_PARA);
  item = {HCCL_SEND_RECV_RESERVED, data, 4, HCCL_DATA_TYPE_INT8, 1};
  EXPECT_EQ(HcclBatchSendRecv(&item, 1, comms[0], stream), HCCL_E_PARA);
}

TEST_F(Refusals, CountsAndParts) {
  const int64_t counts[] = {2, 3}, at[] = {0, 2}, negative[] = {0, -1};
  const auto type = HCCL_DATA_TYPE_INT32;
  const auto v = [&](const void* c, const void* d, void* out, uint64_t count) {
    return HcclReduceScatterV(data, c, d, out, count, type, HCCL_REDUCE_SUM, comms[0], stream);
  };
  EXPECT_EQ(v(nullptr, at, other, 2), HCCL_E_PTR);
  EXPECT_EQ(v(counts, nullptr, other, 2), HCCL_E_PTR);
  EXPECT_EQ(v(counts, at, nullptr, 2), HCCL_E_PTR);
  EXPECT_EQ(v(counts, at, other, 3), HCCL_E_PARA);
  EXPECT_EQ(v(counts, negative, other, 2), HCCL_E_PARA);
  EXPECT_EQ(v(counts, at, data, 2), HCCL_E_PARA);
  EXPECT_EQ(HcclAllGatherV(data, 3, other, counts, at, type, comms[0], stream), HCCL_E_PARA);
  EXPECT_EQ(HcclAlltoAll(data, 4, type, other, 5, type, comms[0], stream), HCCL_E_PARA);
  EXPECT_EQ(HcclAlltoAll(data, 4, type, other, 4, HCCL_DATA_TYPE_FP32, comms[0], stream), HCCL_E_PARA);
  EXPECT_EQ(HcclAlltoAll(data, 4, type, data, 4, type, comms[0], stream), HCCL_E_PARA);
  EXPECT_EQ(HcclAlltoAllVC(data, nullptr, type, other, type, comms[0], stream), HCCL_E_PTR);
  EXPECT_EQ(HcclAlltoAllV(data, counts, at, type, other, at, at, type, comms[0], stream), HCCL_E_PARA);
}

// What ranks call differently shows on all of them when they synchronise.
TEST(HcclCollectives, AMismatchIsEveryRanksError) {
  const auto comms = make_comms(3);
  on_ranks(3, [&](int rank) {
    int8_t data[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    HcclComm comm = comms[static_cast<size_t>(rank)];
    aclrtStream stream = nullptr;
    ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
    const auto root = static_cast<uint32_t>(rank == 2 ? 1 : 0);
    EXPECT_EQ(HcclBroadcast(data, 8, HCCL_DATA_TYPE_INT8, root, comm, stream), HCCL_SUCCESS);
    EXPECT_EQ(aclrtSynchronizeStream(stream), ACL_ERROR_RT_PARAM_INVALID);
    EXPECT_NE(std::strstr(aclGetRecentErrMsg(), "rank 2 called broadcast count=8 dtype=i8 root=1"), nullptr)
        << aclGetRecentErrMsg();
    HcclResult state = HCCL_SUCCESS;
    EXPECT_EQ(HcclGetCommAsyncError(comm, &state), HCCL_SUCCESS);
    EXPECT_EQ(state, HCCL_E_PARA);
    EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
  });
  for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

}  // namespace
