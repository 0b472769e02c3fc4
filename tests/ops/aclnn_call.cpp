// SPDX-License-Identifier: Apache-2.0
#include "tests/ops/aclnn_call.h"

namespace tandem::ops_test {
namespace {

group_a::Descriptor descriptor_of(const Operand& o) {
  group_a::Descriptor d{group_a::acl_dtype(std::string(dtype_name(o.dtype))), ACL_FORMAT_ND, o.dims, o.strides, o.dims};
  if (o.vendor_dtype != ACL_INT32 || o.dims.empty()) return d;
  d.dtype = ACL_INT32;
  const size_t inner = o.strides.back() == 1 ? o.dims.size() - 1 : o.dims.size() - 2;
  d.dims[inner] /= 8;
  for (size_t i = 0; i < d.strides.size(); ++i) {
    if (i != inner) d.strides[i] /= 8;
  }
  d.storage = d.dims;
  return d;
}

std::string failure(const char* step, int code) {
  return fmt::format("{} gave {}: {}", step, code, group_a::recent_error());
}

}  // namespace

VendorOperands::VendorOperands(const Case& c) : case_(c) {
  for (const auto& [name, operands] : c.operands) {
    for (const Operand& one : operands) {
      Held held{group_a::DeviceBuffer(one.bytes.size()), {}};
      held.buffer.upload(one.bytes);
      held.tensor = group_a::Tensor(descriptor_of(one), held.buffer.data());
      held_[name].push_back(std::move(held));
    }
  }
}

VendorOperands::~VendorOperands() {
  for (const aclTensorList* list : lists_) aclDestroyTensorList(list);
  for (const aclScalar* scalar : scalars_) aclDestroyScalar(scalar);
  for (const aclIntArray* array : arrays_) aclDestroyIntArray(array);
}

aclTensor* VendorOperands::tensor(const std::string& name) const {
  const auto found = held_.find(name);
  return found == held_.end() ? nullptr : found->second.front().tensor.get();
}

// A list owns its tensors, so it gets its own.
aclTensorList* VendorOperands::list(const std::string& name) {
  const auto found = held_.find(name);
  if (found == held_.end()) return nullptr;
  std::vector<aclTensor*> tensors;
  for (size_t i = 0; i < found->second.size(); ++i) {
    const auto d = descriptor_of(case_.operands.at(name)[i]);
    tensors.push_back(aclCreateTensor(d.dims.data(), d.dims.size(), d.dtype, d.strides.data(), 0, d.format,
                                      d.storage.data(), d.storage.size(), found->second[i].buffer.data()));
  }
  lists_.push_back(aclCreateTensorList(tensors.data(), tensors.size()));
  return lists_.back();
}

aclScalar* VendorOperands::scalar(const std::string& name, double absent) {
  auto value = static_cast<float>(case_.number(name, absent));
  scalars_.push_back(aclCreateScalar(&value, ACL_FLOAT));
  return scalars_.back();
}

aclIntArray* VendorOperands::integers(const std::string& name) {
  const auto found = case_.operands.find(name);
  if (found == case_.operands.end()) return nullptr;
  std::vector<int64_t> values;
  for (const double value : found->second.front().values()) values.push_back(static_cast<int64_t>(value));
  arrays_.push_back(aclCreateIntArray(values.data(), values.size()));
  return arrays_.back();
}

const char* VendorOperands::word(const std::string& name) const {
  const auto found = case_.words.find(name);
  return found == case_.words.end() ? nullptr : found->second.c_str();
}

Results VendorOperands::download() const {
  Results results;
  for (const auto& [name, list] : held_) {
    for (const Held& held : list) results[name].push_back(held.buffer.download());
  }
  return results;
}

std::string VendorOperands::damage() const {
  for (const auto& [name, list] : held_) {
    for (const Held& held : list) {
      if (!held.buffer.guards_intact()) return "memory around " + name + " was written";
    }
  }
  return {};
}

Outcome call_aclnn(const Case& c, const Form& form) {
  constexpr int32_t kTimeoutMs = 60000;
  group_a::must(aclrtSetDevice(0), "aclrtSetDevice");
  VendorOperands operands(c);
  if (const int got = form.plan(operands); got != 0) return {got, group_a::recent_error(), {}};
  aclrtStream stream = nullptr;
  group_a::must(aclrtCreateStream(&stream), "aclrtCreateStream");
  const group_a::DeviceBuffer workspace(operands.size);
  int got = form.run(operands.size == 0 ? nullptr : workspace.data(), operands.size, operands.executor, stream);
  std::string message = got == 0 ? "" : failure("run", got);
  if (got == 0) {
    got = aclrtSynchronizeStreamWithTimeout(stream, kTimeoutMs);
    if (got != 0) message = failure("synchronize", got);
  }
  aclrtDestroyStream(stream);
  if (message.empty()) message = operands.damage();
  return {got, message, operands.download()};
}

}  // namespace tandem::ops_test
