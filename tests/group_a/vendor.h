// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <acl/acl.h>
#include <aclnn/acl_meta.h>
#include <hccl/hccl.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

// The vendor's interface as a caller sees it: device memory with guard bytes, tensors, and the operator's six forms.
namespace tandem::group_a {

// Memory of aclrtMalloc between two guards.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  // Filled with kPoison.
  explicit DeviceBuffer(size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  void* data() const;
  size_t size() const { return bytes_; }
  void upload(std::span<const std::byte> bytes);
  void clear();
  std::vector<std::byte> download() const;
  bool guards_intact() const;

 private:
  std::vector<std::byte> all() const;
  char* memory_ = nullptr;
  size_t bytes_ = 0;
};

struct Descriptor {
  aclDataType dtype = ACL_DT_UNDEFINED;
  aclFormat format = ACL_FORMAT_ND;
  std::vector<int64_t> dims, strides, storage;
};

class Tensor {
 public:
  Tensor() = default;
  Tensor(const Descriptor& descriptor, void* data);
  ~Tensor();
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  aclTensor* get() const { return tensor_; }

 private:
  aclTensor* tensor_ = nullptr;
};

aclDataType acl_dtype(const std::string& name);
std::vector<int64_t> row_major(const std::vector<int64_t>& dims);

// First phase of the form named plain, inplace, quant, inplace_quant, float or inplace_float: with a tail; or, without
// one, mm, mm_v2, mm_v3, weight, weight_v2, int8, int8_v2, int8_v3: ..MatmulAllReduce and its siblings.
struct Arguments {
  const aclTensor *x1 = nullptr, *x2 = nullptr, *bias = nullptr, *scale = nullptr, *offset = nullptr;
  const aclTensor *x3 = nullptr, *token = nullptr, *first = nullptr, *second = nullptr;  // first, second: of int8 rows
  const aclTensor *residual = nullptr, *gamma = nullptr, *y = nullptr, *norm = nullptr;
  double epsilon = 1e-6;
  const char* group = nullptr;
  const char* reduce_op = nullptr;
  int64_t comm_turn = 0, stream_mode = 1, group_size = 0;
  uint64_t* workspace_size = nullptr;
  aclOpExecutor** executor = nullptr;
};
bool has_tail(const std::string& form);
aclnnStatus plan_form(const std::string& form, const Arguments& a);
aclnnStatus run_form(const std::string& form, void* workspace, uint64_t size, aclOpExecutor* executor,
                     aclrtStream stream);

// Communicators over devices 0..ranks-1 by rank count, made at first use and kept.
class Communicators {
 public:
  ~Communicators();
  std::string name_of(int ranks);

 private:
  struct Entry {
    int ranks;
    std::string name;
    std::vector<HcclComm> handles;
  };
  std::vector<Entry> entries_;
};

// Ends the program with the call's name and the error text unless `status` is 0.
void must(int status, const char* call);

// The text of aclGetRecentErrMsg, "" when there is none.
std::string recent_error();

}  // namespace tandem::group_a
