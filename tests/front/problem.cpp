// SPDX-License-Identifier: Apache-2.0
#include "problem.h"

#include <gtest/gtest.h>

Call::Call(const std::string& name, int64_t rows, int64_t k, int64_t n) : group(name) {
  const std::vector<int8_t> ones(static_cast<size_t>(k * n), 1);
  x1 = halves({rows, k}, 1);
  x2 = tensor({k, n}, ACL_INT8, ones.data(), ones.size());
  scale = halves({n}, 1);
  residual = halves({1, rows, n}, 0);
  gamma = halves({n}, 1);
  out = halves({1, rows, n}, 0);
  norm = halves({1, rows, n}, 0);
}

Call::~Call() {
  for (aclTensor* made : tensors_) aclDestroyTensor(made);
  if (workspace != nullptr) memory_.push_back(workspace);
  for (void* block : memory_) EXPECT_EQ(aclrtFree(block), ACL_SUCCESS);
}

aclTensor* Call::tensor(const std::vector<int64_t>& dims, aclDataType type, const void* values, size_t bytes) {
  void* block = nullptr;
  EXPECT_EQ(aclrtMalloc(&block, bytes, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  EXPECT_EQ(aclrtMemcpy(block, bytes, values, bytes, ACL_MEMCPY_HOST_TO_DEVICE), ACL_SUCCESS);
  memory_.push_back(block);
  tensors_.push_back(
      aclCreateTensor(dims.data(), dims.size(), type, nullptr, 0, ACL_FORMAT_ND, dims.data(), dims.size(), block));
  return tensors_.back();
}

aclTensor* Call::halves(const std::vector<int64_t>& dims, float value) {
  size_t count = 1;
  for (const int64_t dim : dims) count *= static_cast<size_t>(dim);
  const std::vector<uint16_t> values(count, aclFloatToFloat16(value));
  return tensor(dims, ACL_FLOAT16, values.data(), count * sizeof(uint16_t));
}

aclnnStatus Call::plan() {
  const auto code = aclnnWeightQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(x1, x2, nullptr, scale, nullptr, residual,
                                                                              gamma, 1e-6, group.c_str(), "sum", 0, 1,
                                                                              0, out, norm, &workspace_size, &executor);
  if (code == 0 && workspace_size > 0 && workspace == nullptr) {
    EXPECT_EQ(aclrtMalloc(&workspace, workspace_size, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  }
  return code;
}

aclnnStatus Call::run(aclrtStream stream) {
  return aclnnWeightQuantMatmulAllReduceAddRmsNorm(workspace, workspace_size, executor, stream);
}

float Call::y() const {
  void* address = nullptr;
  uint16_t half = 0;
  EXPECT_EQ(aclGetRawTensorAddr(out, &address), 0);
  EXPECT_EQ(aclrtMemcpy(&half, sizeof(half), address, sizeof(half), ACL_MEMCPY_DEVICE_TO_HOST), ACL_SUCCESS);
  return aclFloat16ToFloat(half);
}

std::vector<HcclComm> make_comms(int count) {
  std::vector<HcclComm> comms(static_cast<size_t>(count));
  EXPECT_EQ(HcclCommInitAll(static_cast<uint32_t>(count), nullptr, comms.data()), HCCL_SUCCESS);
  return comms;
}

std::string name_of(HcclComm comm) {
  char name[128] = {};
  EXPECT_EQ(HcclGetCommName(comm, name), HCCL_SUCCESS);
  return name;
}
