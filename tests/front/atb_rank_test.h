// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "atb/atb_infer.h"

// Tensors and operations of one rank, as a program would write them.
namespace atb_test {

using Dims = std::vector<int64_t>;

inline atb::TensorDesc desc(aclDataType type, const Dims& dims) {
  atb::TensorDesc made;
  made.dtype = type;
  made.format = ACL_FORMAT_ND;
  made.shape.dimNum = dims.size();
  for (size_t i = 0; i < dims.size(); ++i) made.shape.dims[i] = dims[i];
  return made;
}

inline Dims dims_of(const atb::TensorDesc& given) { return {given.shape.dims, given.shape.dims + given.shape.dimNum}; }

inline std::string message() {
  const char* text = aclGetRecentErrMsg();
  return text == nullptr ? "" : text;
}

// The device, a stream and a context of one thread, and what was allocated with them.
class Rank {
 public:
  explicit Rank(int device = 0) {
    EXPECT_EQ(aclrtSetDevice(device), 0);
    EXPECT_EQ(aclrtCreateStream(&stream), 0);
    EXPECT_EQ(atb::CreateContext(&context), 0);
    EXPECT_EQ(context->SetExecuteStream(stream), 0);
  }
  ~Rank() {
    for (void* place : memory_) aclrtFree(place);
    EXPECT_EQ(atb::DestroyContext(context), 0);
    EXPECT_EQ(aclrtDestroyStream(stream), 0);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  atb::Tensor tensor(aclDataType type, const Dims& dims, const void* values = nullptr) {
    atb::Tensor made;
    made.desc = desc(type, dims);
    made.dataSize = atb::Utils::GetTensorSize(made);
    if (made.dataSize == 0) return made;
    EXPECT_EQ(aclrtMalloc(&made.deviceData, made.dataSize, ACL_MEM_MALLOC_HUGE_FIRST), 0);
    memory_.push_back(made.deviceData);
    if (values == nullptr) {
      EXPECT_EQ(aclrtMemset(made.deviceData, made.dataSize, 0x5a, made.dataSize), 0);
    } else {
      EXPECT_EQ(aclrtMemcpy(made.deviceData, made.dataSize, values, made.dataSize, ACL_MEMCPY_HOST_TO_DEVICE), 0);
    }
    return made;
  }
  atb::Tensor halves(const Dims& dims, const std::vector<float>& values) {
    std::vector<uint16_t> bits;
    for (const float value : values) bits.push_back(aclFloatToFloat16(value));
    return tensor(ACL_FLOAT16, dims, bits.data());
  }
  atb::Tensor floats(const Dims& dims, const std::vector<float>& values) {
    return tensor(ACL_FLOAT, dims, values.data());
  }
  // Read from hostData only.
  static atb::Tensor numbers(std::vector<int64_t>& values) {
    atb::Tensor made;
    made.desc = desc(ACL_INT64, {static_cast<int64_t>(values.size())});
    made.dataSize = atb::Utils::GetTensorSize(made);
    made.hostData = values.data();
    return made;
  }

  std::vector<uint8_t> bytes(const atb::Tensor& given) const {
    std::vector<uint8_t> read(given.dataSize);
    if (!read.empty()) {
      EXPECT_EQ(aclrtMemcpy(read.data(), read.size(), given.deviceData, read.size(), ACL_MEMCPY_DEVICE_TO_HOST), 0);
    }
    return read;
  }
  std::vector<float> read_halves(const atb::Tensor& given) const {
    const auto raw = bytes(given);
    std::vector<uint16_t> bits(raw.size() / 2);
    if (!raw.empty()) std::memcpy(bits.data(), raw.data(), raw.size());
    std::vector<float> values;
    for (const uint16_t half : bits) values.push_back(aclFloat16ToFloat(half));
    return values;
  }
  std::vector<float> read_floats(const atb::Tensor& given) const {
    const auto raw = bytes(given);
    std::vector<float> values(raw.size() / sizeof(float));
    if (!raw.empty()) std::memcpy(values.data(), raw.data(), raw.size());
    return values;
  }

  // Setup, Execute and synchronisation of an operation; the first code that is not 0.
  atb::Status run(atb::Operation* operation, const atb::VariantPack& pack) {
    uint64_t size = 0;
    if (const atb::Status code = operation->Setup(pack, size, context); code != 0) return code;
    void* workspace = nullptr;
    if (size > 0 && aclrtMalloc(&workspace, size, ACL_MEM_MALLOC_HUGE_FIRST) != 0) return -1;
    if (workspace != nullptr) memory_.push_back(workspace);
    if (const atb::Status code = operation->Execute(pack, static_cast<uint8_t*>(workspace), size, context); code != 0)
      return code;
    return aclrtSynchronizeStream(stream);
  }
  template <class Param>
  atb::Status run(const Param& param, const std::vector<atb::Tensor>& in, const std::vector<atb::Tensor>& out) {
    atb::Operation* operation = nullptr;
    if (const atb::Status code = atb::CreateOperation(param, &operation); code != 0) return code;
    atb::VariantPack pack;
    for (const atb::Tensor& one : in) pack.inTensors.push_back(one);
    for (const atb::Tensor& one : out) pack.outTensors.push_back(one);
    const atb::Status code = run(operation, pack);
    EXPECT_EQ(atb::DestroyOperation(operation), 0);
    return code;
  }

  aclrtStream stream = nullptr;
  atb::Context* context = nullptr;

 private:
  std::vector<void*> memory_;
};

// work(rank) on `count` threads.
inline void on_threads(int count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) threads.emplace_back(work, rank);
  for (auto& thread : threads) thread.join();
}

template <class Param>
Param between(int rank, int ranks, const std::string& domain) {
  Param param;
  param.rank = rank;
  param.rankSize = ranks;
  param.commMode = atb::infer::COMM_MULTI_THREAD;
  param.commDomain = domain;
  param.backend = "hccl";
  return param;
}

}  // namespace atb_test
