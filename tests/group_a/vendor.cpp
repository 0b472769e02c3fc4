// SPDX-License-Identifier: Apache-2.0
#include "tests/group_a/vendor.h"

#include <aclnnop/aclnn_inplace_matmul_all_reduce_add_rms_norm.h>
#include <aclnnop/aclnn_inplace_quant_matmul_all_reduce_add_rms_norm.h>
#include <aclnnop/aclnn_inplace_weight_quant_matmul_all_reduce_add_rms_norm.h>
#include <aclnnop/aclnn_matmul_all_reduce_add_rms_norm.h>
#include <aclnnop/aclnn_quant_matmul_all_reduce_add_rms_norm.h>
#include <aclnnop/aclnn_weight_quant_matmul_all_reduce_add_rms_norm.h>

#include <aclnnop/aclnn_matmul_all_reduce.h>
#include <aclnnop/aclnn_matmul_all_reduce_v2.h>
#include <aclnnop/aclnn_matmul_all_reduce_v3.h>
#include <aclnnop/aclnn_quant_matmul_all_reduce.h>
#include <aclnnop/aclnn_quant_matmul_all_reduce_v2.h>
#include <aclnnop/aclnn_quant_matmul_all_reduce_v3.h>
#include <aclnnop/aclnn_weight_quant_matmul_all_reduce.h>
#include <aclnnop/aclnn_weight_quant_matmul_all_reduce_v2.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace tandem::group_a {
namespace {

constexpr size_t kGuard = 64;
constexpr int kGuardByte = 0xa5;
constexpr int kPoison = 0xee;

bool all_are(std::span<const std::byte> bytes, int value) {
  return std::all_of(bytes.begin(), bytes.end(), [&](std::byte b) { return b == static_cast<std::byte>(value); });
}

aclnnStatus plan_untailed(const std::string& form, const Arguments& a) {
  constexpr const char* kMode = "ai_cpu";
  if (form == "mm")
    return aclnnMatmulAllReduceGetWorkspaceSize(a.x1, a.x2, a.bias, a.group, a.reduce_op, a.comm_turn, a.stream_mode,
                                                a.y, a.workspace_size, a.executor);
  if (form == "mm_v2")
    return aclnnMatmulAllReduceV2GetWorkspaceSize(a.x1, a.x2, a.bias, a.x3, a.group, a.reduce_op, a.comm_turn,
                                                  a.stream_mode, a.y, a.workspace_size, a.executor);
  if (form == "mm_v3")
    return aclnnMatmulAllReduceV3GetWorkspaceSize(a.x1, a.x2, a.bias, a.x3, a.group, a.reduce_op, kMode, a.comm_turn,
                                                  a.stream_mode, a.y, a.workspace_size, a.executor);
  if (form == "weight")
    return aclnnWeightQuantMatmulAllReduceGetWorkspaceSize(a.x1, a.x2, a.bias, a.scale, a.offset, a.x3, a.group,
                                                           a.reduce_op, a.comm_turn, a.stream_mode, a.group_size, a.y,
                                                           a.workspace_size, a.executor);
  if (form == "weight_v2")
    return aclnnWeightQuantMatmulAllReduceV2GetWorkspaceSize(a.x1, a.x2, a.bias, a.scale, a.offset, a.x3, a.group,
                                                             a.reduce_op, kMode, a.comm_turn, a.stream_mode,
                                                             a.group_size, a.y, a.workspace_size, a.executor);
  if (form == "int8")
    return aclnnQuantMatmulAllReduceGetWorkspaceSize(a.x1, a.x2, a.bias, a.x3, a.scale, a.group, a.reduce_op,
                                                     a.comm_turn, a.stream_mode, a.y, a.workspace_size, a.executor);
  if (form == "int8_v2")
    return aclnnQuantMatmulAllReduceV2GetWorkspaceSize(a.x1, a.x2, a.bias, a.x3, a.scale, a.token, a.group, a.reduce_op,
                                                       a.comm_turn, a.stream_mode, a.y, a.workspace_size, a.executor);
  return aclnnQuantMatmulAllReduceV3GetWorkspaceSize(a.x1, a.x2, a.bias, a.x3, a.scale, a.token, a.first, a.second,
                                                     a.group, a.reduce_op, a.comm_turn, a.stream_mode, a.y,
                                                     a.workspace_size, a.executor);
}

aclnnStatus run_untailed(const std::string& form, void* workspace, uint64_t size, aclOpExecutor* executor,
                         aclrtStream stream) {
  if (form == "mm") return aclnnMatmulAllReduce(workspace, size, executor, stream);
  if (form == "mm_v2") return aclnnMatmulAllReduceV2(workspace, size, executor, stream);
  if (form == "mm_v3") return aclnnMatmulAllReduceV3(workspace, size, executor, stream);
  if (form == "weight") return aclnnWeightQuantMatmulAllReduce(workspace, size, executor, stream);
  if (form == "weight_v2") return aclnnWeightQuantMatmulAllReduceV2(workspace, size, executor, stream);
  if (form == "int8") return aclnnQuantMatmulAllReduce(workspace, size, executor, stream);
  if (form == "int8_v2") return aclnnQuantMatmulAllReduceV2(workspace, size, executor, stream);
  return aclnnQuantMatmulAllReduceV3(workspace, size, executor, stream);
}

}  // namespace

bool has_tail(const std::string& form) {
  return form == "plain" || form == "quant" || form == "float" || form.starts_with("inplace");
}

void must(int status, const char* call) {
  if (status == 0) return;
  std::fprintf(stderr, "%s gave %d: %s\n", call, status, recent_error().c_str());
  std::_Exit(1);
}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
  const size_t whole = bytes + 2 * kGuard;
  void* memory = nullptr;
  must(aclrtMalloc(&memory, whole, ACL_MEM_MALLOC_HUGE_FIRST), "aclrtMalloc");
  memory_ = static_cast<char*>(memory);
  must(aclrtMemset(memory_, whole, kGuardByte, whole), "aclrtMemset");
  clear();
}

DeviceBuffer::~DeviceBuffer() {
  if (memory_ != nullptr) aclrtFree(memory_);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void* DeviceBuffer::data() const { return memory_ == nullptr ? nullptr : memory_ + kGuard; }

void DeviceBuffer::upload(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  must(aclrtMemcpy(data(), bytes_, bytes.data(), bytes.size(), ACL_MEMCPY_HOST_TO_DEVICE), "aclrtMemcpy");
}

void DeviceBuffer::clear() {
  if (bytes_ > 0) must(aclrtMemset(data(), bytes_, kPoison, bytes_), "aclrtMemset");
}

std::vector<std::byte> DeviceBuffer::all() const {
  std::vector<std::byte> copy(bytes_ + 2 * kGuard);
  must(aclrtMemcpy(copy.data(), copy.size(), memory_, copy.size(), ACL_MEMCPY_DEVICE_TO_HOST), "aclrtMemcpy");
  return copy;
}

std::vector<std::byte> DeviceBuffer::download() const {
  const std::vector<std::byte> copy = all();
  return {copy.begin() + kGuard, copy.end() - kGuard};
}

bool DeviceBuffer::guards_intact() const {
  const std::vector<std::byte> copy = all();
  const std::span<const std::byte> bytes(copy);
  return all_are(bytes.first(kGuard), kGuardByte) && all_are(bytes.last(kGuard), kGuardByte);
}

Tensor::Tensor(const Descriptor& d, void* data)
    : tensor_(aclCreateTensor(d.dims.data(), d.dims.size(), d.dtype, d.strides.data(), 0, d.format, d.storage.data(),
                              d.storage.size(), data)) {}

Tensor::~Tensor() {
  if (tensor_ != nullptr) aclDestroyTensor(tensor_);
}

Tensor::Tensor(Tensor&& other) noexcept : tensor_(std::exchange(other.tensor_, nullptr)) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  std::swap(tensor_, other.tensor_);
  return *this;
}

aclDataType acl_dtype(const std::string& name) {
  if (name == "f32") return ACL_FLOAT;
  if (name == "f16") return ACL_FLOAT16;
  if (name == "bf16") return ACL_BF16;
  if (name == "i4") return ACL_INT4;
  if (name == "i8") return ACL_INT8;
  if (name == "u8") return ACL_UINT8;
  if (name == "i32") return ACL_INT32;
  if (name == "i64") return ACL_INT64;
  return name == "u64" ? ACL_UINT64 : ACL_DT_UNDEFINED;
}

std::vector<int64_t> row_major(const std::vector<int64_t>& dims) {
  std::vector<int64_t> strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

aclnnStatus plan_form(const std::string& form, const Arguments& a) {
  if (!has_tail(form)) return plan_untailed(form, a);
  if (form == "plain") {
    return aclnnWeightQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
        a.x1, a.x2, a.bias, a.scale, a.offset, a.residual, a.gamma, a.epsilon, a.group, a.reduce_op, a.comm_turn,
        a.stream_mode, a.group_size, a.y, a.norm, a.workspace_size, a.executor);
  }
  if (form == "inplace") {
    return aclnnInplaceWeightQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
        a.x1, a.x2, a.bias, a.scale, a.offset, a.residual, a.gamma, a.epsilon, a.group, a.reduce_op, a.comm_turn,
        a.stream_mode, a.group_size, a.norm, a.workspace_size, a.executor);
  }
  if (form == "quant") {
    return aclnnQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
        a.x1, a.x2, a.bias, a.scale, a.residual, a.gamma, a.epsilon, a.group, a.reduce_op, a.comm_turn, a.stream_mode,
        a.y, a.norm, a.workspace_size, a.executor);
  }
  if (form == "inplace_quant") {
    return aclnnInplaceQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
        a.x1, a.x2, a.bias, a.scale, a.residual, a.gamma, a.epsilon, a.group, a.reduce_op, a.comm_turn, a.stream_mode,
        a.norm, a.workspace_size, a.executor);
  }
  if (form == "float") {
    return aclnnMatmulAllReduceAddRmsNormGetWorkspaceSize(a.x1, a.x2, a.bias, a.residual, a.gamma, a.epsilon, a.group,
                                                          a.reduce_op, a.comm_turn, a.stream_mode, a.y, a.norm,
                                                          a.workspace_size, a.executor);
  }
  return aclnnInplaceMatmulAllReduceAddRmsNormGetWorkspaceSize(a.x1, a.x2, a.bias, a.residual, a.gamma, a.epsilon,
                                                               a.group, a.reduce_op, a.comm_turn, a.stream_mode, a.norm,
                                                               a.workspace_size, a.executor);
}

aclnnStatus run_form(const std::string& form, void* workspace, uint64_t size, aclOpExecutor* executor,
                     aclrtStream stream) {
  if (!has_tail(form)) return run_untailed(form, workspace, size, executor, stream);
  if (form == "plain") return aclnnWeightQuantMatmulAllReduceAddRmsNorm(workspace, size, executor, stream);
  if (form == "inplace") return aclnnInplaceWeightQuantMatmulAllReduceAddRmsNorm(workspace, size, executor, stream);
  if (form == "quant") return aclnnQuantMatmulAllReduceAddRmsNorm(workspace, size, executor, stream);
  if (form == "inplace_quant") return aclnnInplaceQuantMatmulAllReduceAddRmsNorm(workspace, size, executor, stream);
  if (form == "float") return aclnnMatmulAllReduceAddRmsNorm(workspace, size, executor, stream);
  return aclnnInplaceMatmulAllReduceAddRmsNorm(workspace, size, executor, stream);
}

std::string Communicators::name_of(int ranks) {
  for (const Entry& entry : entries_) {
    if (entry.ranks == ranks) return entry.name;
  }
  std::vector<int32_t> devices(static_cast<size_t>(ranks));
  for (int32_t i = 0; i < ranks; ++i) devices[static_cast<size_t>(i)] = i;
  Entry entry{ranks, {}, std::vector<HcclComm>(devices.size())};
  must(HcclCommInitAll(static_cast<uint32_t>(ranks), devices.data(), entry.handles.data()), "HcclCommInitAll");
  char name[128] = {};
  must(HcclGetCommName(entry.handles.front(), name), "HcclGetCommName");
  entry.name = name;
  entries_.push_back(std::move(entry));
  return entries_.back().name;
}

Communicators::~Communicators() {
  for (const Entry& entry : entries_) {
    for (HcclComm handle : entry.handles) HcclCommDestroy(handle);
  }
}

std::string recent_error() {
  const char* text = aclGetRecentErrMsg();
  return text == nullptr ? "" : text;
}

}  // namespace tandem::group_a
