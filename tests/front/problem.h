// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "aclnnop/aclnn_weight_quant_matmul_all_reduce_add_rms_norm.h"

// Operands of a small call of the operator on the calling thread's device: x1 = 1, x2 = 1, scale = 1, residual = 0,
// gamma = 1, so that every element of y is ranks * k.
class Call {
 public:
  explicit Call(const std::string& group, int64_t rows = 4, int64_t k = 8, int64_t n = 16);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  aclnnStatus plan();
  aclnnStatus run(aclrtStream stream);
  float y() const;  // its first element

  std::string group;
  uint64_t workspace_size = 0;
  aclOpExecutor* executor = nullptr;
  void* workspace = nullptr;
  aclTensor *x1, *x2, *scale, *residual, *gamma, *out, *norm;

  // A tensor of fp16 values in fresh device memory.
  aclTensor* halves(const std::vector<int64_t>& dims, float value);

 private:
  aclTensor* tensor(const std::vector<int64_t>& dims, aclDataType type, const void* values, size_t bytes);
  std::vector<aclTensor*> tensors_;
  std::vector<void*> memory_;
};

// Ranks 0..count-1 on devices 0..count-1.
std::vector<HcclComm> make_comms(int count);
std::string name_of(HcclComm comm);
