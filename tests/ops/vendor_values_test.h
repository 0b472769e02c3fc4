// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tandem/exec/device.h"
#include "tandem/ops/plan.h"
#include "tests/group_a/vendor.h"

// Small tensors of the vendor's interface made of values, and both phases of a call.
namespace tandem::ops_test {

inline void set_up() {
  static const int ready = aclInit(nullptr);
  static_cast<void>(ready);
  group_a::must(aclrtSetDevice(0), "aclrtSetDevice");
}

class Values {
 public:
  template <class T>
  Values(aclDataType dtype, std::vector<int64_t> dims, const std::vector<T>& values) {
    set_up();
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    buffer_ = group_a::DeviceBuffer(bytes.size());
    buffer_.upload(bytes);
    const auto strides = group_a::row_major(dims);
    tensor_ = group_a::Tensor({dtype, ACL_FORMAT_ND, dims, strides, dims}, buffer_.data());
  }
  aclTensor* get() const { return tensor_.get(); }
  template <class T>
  std::vector<T> read() const {
    EXPECT_TRUE(buffer_.guards_intact());
    const auto bytes = buffer_.download();
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

 private:
  group_a::DeviceBuffer buffer_;
  group_a::Tensor tensor_;
};

class IntArray {
 public:
  explicit IntArray(std::vector<int64_t> values) : array_(aclCreateIntArray(values.data(), values.size())) {}
  ~IntArray() { aclDestroyIntArray(array_); }
  IntArray(const IntArray&) = delete;
  IntArray& operator=(const IntArray&) = delete;
  aclIntArray* get() const { return array_; }

 private:
  aclIntArray* array_;
};

class Scalar {
 public:
  explicit Scalar(float value) : scalar_(aclCreateScalar(&value, ACL_FLOAT)) {}
  ~Scalar() { aclDestroyScalar(scalar_); }
  Scalar(const Scalar&) = delete;
  Scalar& operator=(const Scalar&) = delete;
  aclScalar* get() const { return scalar_; }

 private:
  aclScalar* scalar_;
};

// Both phases; plan(&size, &executor).
template <class Plan>
int both(const Plan& plan, aclnnStatus (*launch)(void*, uint64_t, aclOpExecutor*, aclrtStream)) {
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  if (const int code = plan(&size, &executor)) return code;
  aclrtStream stream = nullptr;
  group_a::must(aclrtCreateStream(&stream), "aclrtCreateStream");
  const group_a::DeviceBuffer workspace(size);
  int code = launch(size == 0 ? nullptr : workspace.data(), size, executor, stream);
  if (code == 0) code = aclrtSynchronizeStream(stream);
  aclrtDestroyStream(stream);
  return code;
}

// The operator itself, in C++: "" or what went wrong.
template <class Op>
std::string run_here(const Op& op) {
  auto device = Device::get(0);
  auto stream = Stream::create(**device);
  auto planned = plan(op, **device);
  if (!planned) return planned.error().message;
  std::vector<std::byte> workspace(planned->workspace_bytes());
  if (auto status = planned->run(workspace, **stream); !status) return status.error().message;
  const auto status = (*stream)->synchronize();
  return status ? "" : status.error().message;
}

}  // namespace tandem::ops_test
