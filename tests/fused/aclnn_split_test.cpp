// SPDX-License-Identifier: Apache-2.0
// aclnnMatmulReduceScatter(V2) and aclnnAllGatherMatmul(V2) give the bits of the C++ operators.
#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "aclnnop/aclnn_all_gather_matmul.h"
#include "aclnnop/aclnn_all_gather_matmul_v2.h"
#include "aclnnop/aclnn_matmul_reduce_scatter.h"
#include "aclnnop/aclnn_matmul_reduce_scatter_v2.h"
#include "tandem/check/sweep_split.h"
#include "tests/fused/aclnn_group.h"
#include "tests/group_a/vendor.h"

namespace tandem::fused {
namespace {

using Bytes = std::vector<std::byte>;
using group_a::DeviceBuffer;

constexpr int kRanks = 2;

// One rank's tensors on its device.
class Rank {
 public:
  explicit Rank(int rank) {
    group_a::must(aclrtSetDevice(rank), "aclrtSetDevice");
    group_a::must(aclrtCreateStream(&stream), "aclrtCreateStream");
  }
  ~Rank() { aclrtDestroyStream(stream); }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  // Rows [first, first + count) of a stored matrix, or all of it.
  aclTensor* in(const Stored& stored, std::vector<int64_t> dims, int64_t first = 0) {
    if (!stored.present()) return nullptr;
    const size_t row = dtype_bytes(stored.dtype, stored.cols);
    int64_t count = 1;
    for (const int64_t dim : dims) count *= dim;
    const auto begin = stored.bytes.begin() + first * static_cast<int64_t>(row);
    DeviceBuffer& buffer = buffers_.emplace_back(dtype_bytes(stored.dtype, count));
    buffer.upload(Bytes(begin, begin + static_cast<int64_t>(buffer.size())));
    return tensor(stored.dtype, dims, stored.transposed(), buffer);
  }
  aclTensor* out(DType dtype, int64_t rows, int64_t cols) {
    return tensor(dtype, {rows, cols}, false, buffers_.emplace_back(dtype_bytes(dtype, rows * cols)));
  }
  Bytes last(size_t back) const { return buffers_[buffers_.size() - back].download(); }

  aclrtStream stream = nullptr;

 private:
  aclTensor* tensor(DType dtype, const std::vector<int64_t>& dims, bool transposed, DeviceBuffer& buffer) {
    group_a::Descriptor d{group_a::acl_dtype(std::string(dtype_name(dtype))), ACL_FORMAT_ND, dims, {}, dims};
    d.strides = transposed ? std::vector<int64_t>{1, dims[0]} : group_a::row_major(dims);
    if (transposed) d.storage = {dims[1], dims[0]};
    return tensors_.emplace_back(d, buffer.data()).get();
  }
  std::deque<DeviceBuffer> buffers_;
  std::deque<group_a::Tensor> tensors_;
};

using Second = aclnnStatus (*)(void*, uint64_t, aclOpExecutor*, aclrtStream);

void launch(Rank& rank, int planned, uint64_t size, aclOpExecutor* executor, Second second) {
  ASSERT_EQ(planned, 0) << group_a::recent_error();
  const DeviceBuffer workspace(size);
  ASSERT_EQ(second(workspace.data(), size, executor, rank.stream), 0) << group_a::recent_error();
  ASSERT_EQ(aclrtSynchronizeStreamWithTimeout(rank.stream, 60000), 0) << group_a::recent_error();
}

Bytes scatter(const Problem& p, const RankData& data, int index, const char* group) {
  Rank rank(index);
  const aclTensor *x1 = rank.in(operand(data, "x1"), {p.m, p.k}), *x2 = rank.in(operand(data, "x2"), {p.k, p.n}),
                  *bias = rank.in(operand(data, "bias"), {p.n}), *token = rank.in(operand(data, "token"), {p.m}),
                  *scale = rank.in(operand(data, "scale"), {p.n});
  aclTensor* y = rank.out(p.output, p.m / kRanks, p.n);
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  if (p.integer()) {
    const int planned = aclnnMatmulReduceScatterV2GetWorkspaceSize(x1, x2, bias, token, scale, nullptr, 0, group, "sum",
                                                                   0, 1, 0, "aiv", y, nullptr, &size, &executor);
    launch(rank, planned, size, executor, aclnnMatmulReduceScatterV2);
  } else {
    const int planned = aclnnMatmulReduceScatterGetWorkspaceSize(x1, x2, bias, group, "sum", 0, 1, y, &size, &executor);
    launch(rank, planned, size, executor, aclnnMatmulReduceScatter);
  }
  return rank.last(1);
}

Bytes gather(const Problem& p, const RankData& data, int index, const char* group) {
  Rank rank(index);
  const int64_t own = p.m / kRanks, first = index * own;
  Stored tokens = operand(data, "token");
  if (tokens.present()) tokens.rows = tokens.cols, tokens.cols = 1;
  const aclTensor *x1 = rank.in(operand(data, "x1"), {own, p.k}, first), *x2 = rank.in(operand(data, "x2"), {p.k, p.n}),
                  *bias = rank.in(operand(data, "bias"), {p.n}), *token = rank.in(tokens, {own}, first),
                  *scale = rank.in(operand(data, "scale"), {p.n});
  aclTensor *all = rank.out(p.dtype, p.m, p.k), *y = rank.out(p.output, p.m, p.n);
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  if (p.integer()) {
    const int planned = aclnnAllGatherMatmulV2GetWorkspaceSize(x1, x2, bias, token, scale, nullptr, 0, group, 0, 0, 1,
                                                               0, "aiv", y, all, nullptr, &size, &executor);
    launch(rank, planned, size, executor, aclnnAllGatherMatmulV2);
  } else {
    const int planned = aclnnAllGatherMatmulGetWorkspaceSize(x1, x2, bias, group, 0, 0, 1, y, all, &size, &executor);
    launch(rank, planned, size, executor, aclnnAllGatherMatmul);
  }
  EXPECT_EQ(rank.last(2), operand(data, "x1").bytes);
  return rank.last(1);
}

std::vector<Problem> problems() {
  std::vector<Problem> all;
  for (
      const char* fields :
      {R"({"m": 6, "k": 64, "n": 34, "dtype": "f16", "weight": "f16", "scales": "none", "bias": "all", "tail": false})",
       R"({"m": 2, "k": 300, "n": 70, "dtype": "bf16", "weight": "bf16", "scales": "none", "bias": "none", "tail": false,
            "transposed": true})",
       R"({"m": 8, "k": 64, "n": 40, "x1_dtype": "i8", "scale_dtype": "f32", "token": true, "offset": false,
            "bias": "none", "tail": false})"}) {
    all.push_back(parse_problem(nlohmann::json::parse(fields)));
  }
  return all;
}

template <class Run>
std::vector<Bytes> run_ranks(const Run& run) {
  start_acl();
  static group_a::Communicators communicators;
  const std::string group = communicators.name_of(kRanks);
  std::vector<Bytes> results(kRanks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank)
    threads.emplace_back([&, rank] { results[static_cast<size_t>(rank)] = run(rank, group.c_str()); });
  for (std::thread& thread : threads) thread.join();
  return results;
}

TEST(AclnnSplit, ReduceScatterGivesTheBitsOfTheCppCall) {
  auto group = CppGroup::make(kRanks);
  ASSERT_TRUE(group);
  for (Problem p : problems()) {
    SCOPED_TRACE(p.describe());
    p.ranks = kRanks;
    const auto data = make_ranks(p);
    const auto wanted = run_split(*group, p, {p.m / kRanks, p.m / kRanks}, Split::scattered);
    ASSERT_TRUE(wanted) << wanted.error().message;
    const auto got =
        run_ranks([&](int rank, const char* name) { return scatter(p, data[static_cast<size_t>(rank)], rank, name); });
    Bytes whole = got[0];
    whole.insert(whole.end(), got[1].begin(), got[1].end());
    EXPECT_EQ(whole, wanted->y);
  }
}

TEST(AclnnSplit, AllGatherGivesTheBitsOfTheCppCall) {
  auto group = CppGroup::make(kRanks);
  ASSERT_TRUE(group);
  for (Problem p : problems()) {
    SCOPED_TRACE(p.describe());
    p.ranks = 1;
    const RankData data = make_rank(p, 0);
    const auto wanted = run_split(*group, p, {p.m / kRanks, p.m / kRanks}, Split::gathered);
    ASSERT_TRUE(wanted) << wanted.error().message;
    for (const Bytes& y : run_ranks([&](int rank, const char*name) { return gather(p, data, rank, name); }))
      EXPECT_EQ(y, wanted->y);
  }
}

}  // namespace
}  // namespace tandem::fused
