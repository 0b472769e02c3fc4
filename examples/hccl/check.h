// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <vector>

#include "hccl/hccl.h"

// What the programs of this folder share: every call returns a code, and the text says what was given and wanted.
inline bool good(int code, const char* call) {
  if (code == 0) return true;
  const char* text = aclGetRecentErrMsg();
  std::printf("%s failed with %d: %s\n", call, code, text == nullptr ? "no message" : text);
  return false;
}

// The first of these variables that is set, as a number; -1 when none is. Launchers name rank and size differently:
// torchrun and tandem launch, Open MPI, MPICH, srun.
inline int number_from(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* text = std::getenv(name);
    if (text != nullptr) return std::atoi(text);
  }
  return -1;
}
inline int launched_rank() { return number_from({"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"}); }
inline int launched_ranks() { return number_from({"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}); }

// Memory of the current device that holds `values`.
struct DeviceBuffer {
  void* data = nullptr;
  size_t bytes = 0;

  bool make(const std::vector<float>& values) {
    bytes = values.size() * sizeof(float);
    return good(aclrtMalloc(&data, bytes, ACL_MEM_MALLOC_HUGE_FIRST), "aclrtMalloc") &&
           good(aclrtMemcpy(data, bytes, values.data(), bytes, ACL_MEMCPY_HOST_TO_DEVICE), "aclrtMemcpy");
  }
  bool read(std::vector<float>& values) const {
    return good(aclrtMemcpy(values.data(), bytes, data, bytes, ACL_MEMCPY_DEVICE_TO_HOST), "aclrtMemcpy");
  }
  ~DeviceBuffer() {
    if (data != nullptr) good(aclrtFree(data), "aclrtFree");
  }
};

// One all-reduce on the current device: rank r brings r + 1 everywhere, so that every element of the result is
// 1 + 2 + ... + ranks.
inline bool sum_of_ranks(HcclComm comm) {
  constexpr size_t kCount = 1000;
  uint32_t rank = 0, ranks = 0;
  if (!good(HcclGetRankId(comm, &rank), "HcclGetRankId")) return false;
  if (!good(HcclGetRankSize(comm, &ranks), "HcclGetRankSize")) return false;
  std::vector<float> values(kCount, static_cast<float>(rank + 1));
  DeviceBuffer sent, received;
  aclrtStream stream = nullptr;
  if (!sent.make(values) || !received.make(values) || !good(aclrtCreateStream(&stream), "aclrtCreateStream"))
    return false;
  bool done = good(HcclAllReduce(sent.data, received.data, kCount, HCCL_DATA_TYPE_FP32, HCCL_REDUCE_SUM, comm, stream),
                   "HcclAllReduce") &&
              good(aclrtSynchronizeStream(stream), "aclrtSynchronizeStream") && received.read(values);
  const float wanted = static_cast<float>(ranks * (ranks + 1) / 2);
  for (const float value : values) done = done && value == wanted;
  std::printf("rank %u of %u: the sum of all ranks is %g, %g wanted\n", rank, ranks, static_cast<double>(values[0]),
              static_cast<double>(wanted));
  return good(aclrtDestroyStream(stream), "aclrtDestroyStream") && done;
}
