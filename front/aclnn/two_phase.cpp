// SPDX-License-Identifier: Apache-2.0
#include "front/aclnn/two_phase.h"

#include <fmt/format.h>

#include "front/acl/runtime.h"
#include "front/aclnn/status.h"

namespace tandem::front {
namespace {

aclnnStatus refuse(aclnnStatus code, std::string_view text) {
  return report(code, kOperatorMark, fmt::format("second phase: {}", text));
}

bool has_addresses(const std::vector<Executor::Operand>& operands) {
  for (const auto& operand : operands) {
    if (operand.view == nullptr || operand.view->data != nullptr) continue;
    if (operand.view->elements() > 0) return false;
  }
  return true;
}

// A repeatable executor whose operands moved is planned again.
Status refresh(Executor& executor) {
  if (executor.empty || !executor.moved) return {};
  auto plan = executor.make_plan();
  if (!plan) return fail(plan.error());
  executor.plan = std::move(*plan);
  executor.moved = false;
  return {};
}

aclnnStatus enqueue(Executor& executor, void* workspace, uint64_t size, aclrtStream stream) {
  if (!executor.without_workspace && (workspace == nullptr || size < executor.workspace_bytes)) {
    const uint64_t given = workspace == nullptr ? 0 : size;
    return refuse(ACLNN_ERR_PARAM_NULLPTR, fmt::format("workspace has {} bytes, {} wanted (what the first phase said)",
                                                       given, executor.workspace_bytes));
  }
  const auto target = stream_of(stream);
  if (!target) return refuse(ACLNN_ERR_PARAM_INVALID, target.error().message);
  if ((*target)->device != executor.device.index()) {
    return refuse(ACLNN_ERR_PARAM_INVALID,
                  fmt::format("stream of device {}, one of device {} wanted (the first phase's)", (*target)->device,
                              executor.device.index()));
  }
  if (!has_addresses(executor.inputs) || !has_addresses(executor.outputs)) {
    return refuse(ACLNN_ERR_PARAM_NULLPTR, "a tensor has no address, aclrtMalloc'ed memory wanted");
  }
  if (const auto status = refresh(executor); !status) return report_aclnn(status.error());
  const auto status =
      executor.plan->run({static_cast<std::byte*>(workspace), executor.workspace_bytes}, *(*target)->queue);
  if (status) return ACLNN_SUCCESS;
  return report(strict() ? ACLNN_ERR_INNER : aclnn_code(status.error().code), kOperatorMark, status.error().message);
}

aclnnStatus use(aclOpExecutor* handle, void* workspace, uint64_t size, aclrtStream stream) {
  if (handle == nullptr) {
    return refuse(strict() ? ACLNN_ERR_INNER : ACLNN_ERR_PARAM_NULLPTR,
                  "executor is null, one of the first phase wanted");
  }
  const auto executor = executors().find(handle);
  if (!executor)
    return refuse(ACLNN_ERR_PARAM_INVALID, "executor is used up or unknown, a new one of the first phase wanted");
  const std::lock_guard lock(executor->mutex);
  if (executor->consumed)
    return refuse(ACLNN_ERR_PARAM_INVALID, "executor is used up, a new one of the first phase wanted");
  if (!executor->empty) {
    if (const auto code = enqueue(*executor, workspace, size, stream); code != ACLNN_SUCCESS) return code;
  }
  if (executor->repeatable) return ACLNN_SUCCESS;
  executor->consumed = true;
  executors().take(handle);
  return ACLNN_SUCCESS;
}

}  // namespace

Expected<Device*> current_device() {
  if (auto same = same_build("first phase"); !same) return fail(same.error());
  const auto context = current_context();
  if (context) return Device::get(context->device);
  return fail(ErrorCode::cancelled, "first phase: this thread has no device, aclrtSetDevice before it wanted");
}

aclnnStatus publish(std::shared_ptr<Executor> executor, uint64_t* workspace_size, aclOpExecutor** handle) {
  if (!executor->empty) {
    auto plan = executor->make_plan();
    if (!plan) return report_aclnn(plan.error());
    executor->workspace_bytes = plan->workspace_bytes();
    executor->empty = executor->workspace_bytes == 0 && !executor->without_workspace;
    executor->plan = std::move(*plan);
  }
  *workspace_size = executor->workspace_bytes;
  *handle = static_cast<aclOpExecutor*>(executors().insert(std::move(executor)));
  return ACLNN_SUCCESS;
}

aclnnStatus launch(void* workspace, uint64_t workspace_size, aclOpExecutor* handle, aclrtStream stream) noexcept {
  return aclnn_call([&] { return use(handle, workspace, workspace_size, stream); });
}

}  // namespace tandem::front
