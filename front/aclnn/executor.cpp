// SPDX-License-Identifier: Apache-2.0
#include "front/aclnn/executor.h"

#include <fmt/format.h>

#include "aclnn/aclnn_base.h"
#include "front/acl/runtime.h"
#include "front/aclnn/status.h"

namespace tandem::front {

HandleTable<Executor>& executors() {
  static HandleTable<Executor>& table = []() -> HandleTable<Executor>& {
    at_finalize([] { executors().clear(); });
    return *new HandleTable<Executor>;
  }();
  return table;
}

void bind(std::vector<Executor::Operand>& operands, TensorView& place, const aclTensor* tensor) {
  if (tensor == nullptr) {
    operands.push_back({});
    return;
  }
  place = tensor->view;
  operands.push_back({&place, byte_offset(*tensor)});
}

namespace {

enum class Which { input, output, any };

aclnnStatus wrong(aclnnStatus code, std::string_view text) {
  return report(code, kOperatorMark, fmt::format("executor: {}", text));
}

Executor::Operand* operand_at(Executor& executor, Which which, size_t index) {
  auto& first = which == Which::output ? executor.outputs : executor.inputs;
  if (index < first.size()) return &first[index];
  index -= first.size();
  return which == Which::any && index < executor.outputs.size() ? &executor.outputs[index] : nullptr;
}

aclnnStatus null_executor(std::string_view text) {
  return wrong(strict() ? ACLNN_ERR_INNER_NULLPTR : ACLNN_ERR_PARAM_NULLPTR, text);
}

aclnnStatus set_address(aclOpExecutor* handle, Which which, size_t index, aclTensor* tensor, void* address) {
  if (handle == nullptr) return null_executor("null, an executor wanted");
  if (tensor == nullptr) return wrong(ACLNN_ERR_PARAM_NULLPTR, "tensor is null, the one of the first phase wanted");
  const auto executor = executors().find(handle);
  if (!executor) return wrong(ACLNN_ERR_PARAM_INVALID, "unknown, one that was not used up wanted");
  const std::lock_guard lock(executor->mutex);
  auto* operand = operand_at(*executor, which, index);
  if (operand == nullptr || operand->view == nullptr) {
    return wrong(ACLNN_ERR_PARAM_INVALID,
                 fmt::format("operand {} is absent, the index of a given tensor wanted", index));
  }
  aclSetRawTensorAddr(tensor, address);
  operand->view->data = address == nullptr ? nullptr : static_cast<char*>(address) + operand->offset;
  executor->moved = true;
  return ACLNN_SUCCESS;
}

aclnnStatus set_in_list(aclOpExecutor* handle, aclTensorList* tensors) {
  if (handle == nullptr) return null_executor("null, an executor wanted");
  if (tensors == nullptr) return wrong(ACLNN_ERR_PARAM_NULLPTR, "tensor list is null, one wanted");
  if (!executors().find(handle)) return wrong(ACLNN_ERR_PARAM_INVALID, "unknown, one that was not used up wanted");
  return wrong(ACLNN_ERR_PARAM_INVALID, "the operator has no tensor list, aclSetTensorAddr wanted");
}

aclnnStatus set_repeatable(aclOpExecutor* handle) {
  if (handle == nullptr) return null_executor("null, an executor wanted");
  const auto executor = executors().find(handle);
  if (!executor) return wrong(ACLNN_ERR_PARAM_INVALID, "unknown, one that was not used up wanted");
  const std::lock_guard lock(executor->mutex);
  executor->repeatable = true;
  return ACLNN_SUCCESS;
}

aclnnStatus destroy(aclOpExecutor* handle) {
  if (handle == nullptr) return ACLNN_SUCCESS;
  if (!executors().take(handle)) return wrong(ACLNN_ERR_PARAM_INVALID, "unknown, one that was not destroyed wanted");
  return ACLNN_SUCCESS;
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::aclnn_call;
using front::Which;

extern "C" {

aclnnStatus aclSetAclOpExecutorRepeatable(aclOpExecutor* executor) {
  return aclnn_call([&] { return front::set_repeatable(executor); });
}

aclnnStatus aclDestroyAclOpExecutor(aclOpExecutor* executor) {
  return aclnn_call([&] { return front::destroy(executor); });
}

aclnnStatus aclSetInputTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor, void* addr) {
  return aclnn_call([&] { return front::set_address(executor, Which::input, index, tensor, addr); });
}

aclnnStatus aclSetOutputTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor, void* addr) {
  return aclnn_call([&] { return front::set_address(executor, Which::output, index, tensor, addr); });
}

aclnnStatus aclSetTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor, void* addr) {
  return aclnn_call([&] { return front::set_address(executor, Which::any, index, tensor, addr); });
}

aclnnStatus aclSetDynamicInputTensorAddr(aclOpExecutor* executor, size_t /*irIndex*/, const size_t /*relativeIndex*/,
                                         aclTensorList* tensors, void* /*addr*/) {
  return aclnn_call([&] { return front::set_in_list(executor, tensors); });
}

aclnnStatus aclSetDynamicOutputTensorAddr(aclOpExecutor* executor, size_t /*irIndex*/, const size_t /*relativeIndex*/,
                                          aclTensorList* tensors, void* /*addr*/) {
  return aclnn_call([&] { return front::set_in_list(executor, tensors); });
}

aclnnStatus aclSetDynamicTensorAddr(aclOpExecutor* executor, size_t /*irIndex*/, const size_t /*relativeIndex*/,
                                    aclTensorList* tensors, void* /*addr*/) {
  return aclnn_call([&] { return front::set_in_list(executor, tensors); });
}

aclnnStatus AclSetInputTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor, void* addr) {
  return aclSetInputTensorAddr(executor, index, tensor, addr);
}

aclnnStatus AclSetOutputTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor, void* addr) {
  return aclSetOutputTensorAddr(executor, index, tensor, addr);
}

aclnnStatus AclSetTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor, void* addr) {
  return aclSetTensorAddr(executor, index, tensor, addr);
}

aclnnStatus AclSetDynamicInputTensorAddr(aclOpExecutor* executor, size_t irIndex, const size_t relativeIndex,
                                         aclTensorList* tensors, void* addr) {
  return aclSetDynamicInputTensorAddr(executor, irIndex, relativeIndex, tensors, addr);
}

aclnnStatus AclSetDynamicOutputTensorAddr(aclOpExecutor* executor, size_t irIndex, const size_t relativeIndex,
                                          aclTensorList* tensors, void* addr) {
  return aclSetDynamicOutputTensorAddr(executor, irIndex, relativeIndex, tensors, addr);
}

aclnnStatus AclSetDynamicTensorAddr(aclOpExecutor* executor, size_t irIndex, const size_t relativeIndex,
                                    aclTensorList* tensors, void* addr) {
  return aclSetDynamicTensorAddr(executor, irIndex, relativeIndex, tensors, addr);
}

aclnnStatus aclnnInit(const char* /*configPath*/) { return ACLNN_SUCCESS; }

aclnnStatus aclnnFinalize() {
  return aclnn_call([] {
    front::executors().clear();
    return ACLNN_SUCCESS;
  });
}

}  // extern "C"
