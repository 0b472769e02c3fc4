// SPDX-License-Identifier: Apache-2.0
// aclnnWeightQuantMatmulAllReduceAddRmsNorm on 8 devices, one thread each:
// y = all_reduce(x1 @ ((x2 + offset) * scale) + bias) + residual, normOut = rms_norm(y) * gamma.
//
//   . <prefix>/cann/set_env.sh
//   g++ weight_quant_matmul_all_reduce_add_rms_norm.cpp -I $ASCEND_HOME_PATH/include
//       -I $ASCEND_HOME_PATH/include/aclnn -I $ASCEND_OPP_PATH/include/aclnnop
//       -L $ASCEND_HOME_PATH/lib64 -lopapi -lascendcl -lnnopbase -lhccl -lpthread       (one line)
#include <cstdio>
#include <thread>
#include <vector>

#include "aclnnop/aclnn_weight_quant_matmul_all_reduce_add_rms_norm.h"
#include "problem.h"

// Every call returns a code; the text says what was given and what is wanted.
static bool good(int code, const char* call) {
  if (code == 0) return true;
  const char* text = aclGetRecentErrMsg();
  std::printf("%s failed with %d: %s\n", call, code, text == nullptr ? "no message" : text);
  return false;
}

// Device memory with the descriptor of a row-major tensor in it.
struct Tensor {
  void* memory = nullptr;
  aclTensor* descriptor = nullptr;

  template <class T>
  bool make(const std::vector<T>& values, const std::vector<int64_t>& dims, aclDataType type) {
    const size_t bytes = values.size() * sizeof(T);
    if (!good(aclrtMalloc(&memory, bytes, ACL_MEM_MALLOC_HUGE_FIRST), "aclrtMalloc")) return false;
    if (!good(aclrtMemcpy(memory, bytes, values.data(), bytes, ACL_MEMCPY_HOST_TO_DEVICE), "aclrtMemcpy")) return false;
    descriptor =
        aclCreateTensor(dims.data(), dims.size(), type, nullptr, 0, ACL_FORMAT_ND, dims.data(), dims.size(), memory);
    return good(descriptor == nullptr ? -1 : 0, "aclCreateTensor");
  }

  bool read(std::vector<uint16_t>& values) const {
    const size_t bytes = values.size() * sizeof(uint16_t);
    return good(aclrtMemcpy(values.data(), bytes, memory, bytes, ACL_MEMCPY_DEVICE_TO_HOST), "aclrtMemcpy");
  }

  ~Tensor() {
    aclDestroyTensor(descriptor);
    if (memory != nullptr) good(aclrtFree(memory), "aclrtFree");
  }
};

struct Operands {
  Tensor x1, x2, bias, scale, offset, residual, gamma, y, norm;

  bool make(const Problem& problem, int rank) {
    const std::vector<uint16_t> zeros(kRows * kN);
    const std::vector<int64_t> columns = {kN}, result = {1, kRows, kN};
    return x1.make(problem.x1[rank], {kRows, kK}, ACL_FLOAT16) && x2.make(problem.x2[rank], {kK, kN}, ACL_INT8) &&
           (rank != 0 || bias.make(problem.bias, columns, ACL_FLOAT16)) &&
           scale.make(problem.scale, columns, ACL_FLOAT16) && offset.make(problem.offset, columns, ACL_FLOAT16) &&
           residual.make(problem.residual, result, ACL_FLOAT16) && gamma.make(problem.gamma, columns, ACL_FLOAT16) &&
           y.make(zeros, result, ACL_FLOAT16) && norm.make(zeros, result, ACL_FLOAT16);
  }
};

// Both phases. The first checks the arguments and says how much workspace the second wants; the second only enqueues.
static bool run_operator(const Operands& o, const char* group, aclrtStream stream) {
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  const int planned = aclnnWeightQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
      o.x1.descriptor, o.x2.descriptor, o.bias.descriptor, o.scale.descriptor, o.offset.descriptor,
      o.residual.descriptor, o.gamma.descriptor, kEpsilon, group, "sum", 0, 1, 0, o.y.descriptor, o.norm.descriptor,
      &size, &executor);
  if (!good(planned, "aclnnWeightQuantMatmulAllReduceAddRmsNormGetWorkspaceSize")) return false;
  void* workspace = nullptr;
  if (size > 0 && !good(aclrtMalloc(&workspace, size, ACL_MEM_MALLOC_HUGE_FIRST), "aclrtMalloc")) return false;
  const int enqueued = aclnnWeightQuantMatmulAllReduceAddRmsNorm(workspace, size, executor, stream);
  const bool done = good(enqueued, "aclnnWeightQuantMatmulAllReduceAddRmsNorm") &&
                    good(aclrtSynchronizeStream(stream), "aclrtSynchronizeStream");
  return (workspace == nullptr || good(aclrtFree(workspace), "aclrtFree")) && done;
}

static bool compare(const Operands& o, const Expected& expected, int rank) {
  std::vector<uint16_t> y(kRows * kN), norm(kRows * kN);
  if (!o.y.read(y) || !o.norm.read(norm)) return false;
  const double y_error = largest_error(y, expected.y);
  const double norm_error = largest_error(norm, expected.norm);
  std::printf("device %d: largest error of y %.3g, of normOut %.3g (allowed %.3g)\n", rank, y_error, norm_error,
              kAllowedError);
  return y_error <= kAllowedError && norm_error <= kAllowedError;
}

// One rank: its device, its stream, the name of its communicator, and the operator.
static bool run_rank(const Problem& problem, const Expected& expected, int rank, HcclComm comm) {
  if (!good(aclrtSetDevice(rank), "aclrtSetDevice")) return false;
  aclrtStream stream = nullptr;
  char group[128] = {};
  bool done =
      good(aclrtCreateStream(&stream), "aclrtCreateStream") && good(HcclGetCommName(comm, group), "HcclGetCommName");
  if (done) {
    Operands operands;
    done = operands.make(problem, rank) && run_operator(operands, group, stream) && compare(operands, expected, rank);
  }
  if (stream != nullptr && !good(aclrtDestroyStream(stream), "aclrtDestroyStream")) done = false;
  if (!good(aclrtResetDevice(rank), "aclrtResetDevice")) done = false;
  if (done) std::printf("device %d: aclnnWeightQuantMatmulAllReduceAddRmsNorm success\n", rank);
  return done;
}

int main() {
  if (!good(aclInit(nullptr), "aclInit")) return 1;
  int32_t devices[kRanks];
  for (int rank = 0; rank < kRanks; ++rank) devices[rank] = rank;
  HcclComm comms[kRanks];
  if (!good(HcclCommInitAll(kRanks, devices, comms), "HcclCommInitAll")) return 1;

  const Problem problem = make_problem();
  const Expected expected = expected_of(problem);
  std::vector<char> done(kRanks, 0);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] { done[rank] = run_rank(problem, expected, rank, comms[rank]) ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();

  bool all = true;
  for (int rank = 0; rank < kRanks; ++rank) {
    all = good(HcclCommDestroy(comms[rank]), "HcclCommDestroy") && all && done[rank] != 0;
  }
  all = good(aclFinalize(), "aclFinalize") && all;
  std::printf("%s\n", all ? "success: all 8 devices" : "FAILED");
  return all ? 0 : 1;
}
