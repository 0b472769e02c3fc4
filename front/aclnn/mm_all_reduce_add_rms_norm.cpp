// SPDX-License-Identifier: Apache-2.0
// The six ..MatmulAllReduceAddRmsNorm interfaces: translation to MmAllReduce with an AddRmsNorm tail.
#include <string>

#include "aclnnop/aclnn_inplace_matmul_all_reduce_add_rms_norm.h"
#include "aclnnop/aclnn_inplace_quant_matmul_all_reduce_add_rms_norm.h"
#include "aclnnop/aclnn_inplace_weight_quant_matmul_all_reduce_add_rms_norm.h"
#include "aclnnop/aclnn_matmul_all_reduce_add_rms_norm.h"
#include "aclnnop/aclnn_quant_matmul_all_reduce_add_rms_norm.h"
#include "aclnnop/aclnn_weight_quant_matmul_all_reduce_add_rms_norm.h"
#include "front/aclnn/fused_call.h"
#include "front/aclnn/status.h"
#include "front/aclnn/translate.h"
#include "front/aclnn/two_phase.h"
#include "tandem/ops/mm_all_reduce.h"

namespace tandem::front {
namespace {

// Keeps the group's name, and lets y follow the residual of the Inplace forms.
class FusedExecutor : public Executor {
 public:
  FusedExecutor(Device& where, const FusedCall& call);

  Expected<Plan> make_plan() const override {
    MmAllReduce whole = op_;
    whole.group = group_;
    if (inplace_) whole.y = whole.then->residual;
    return tandem::plan(whole, device);
  }

 private:
  void bind_scales(const FusedCall& call);

  MmAllReduce op_;
  std::string group_;
  bool inplace_;
};

FusedExecutor::FusedExecutor(Device& where, const FusedCall& call)
    : Executor(where), group_(call.group), inplace_(call.inplace) {
  bind(inputs, op_.x1, call.x1);
  bind(inputs, op_.x2, call.x2);
  if (call.x2->format == ACL_FORMAT_FRACTAL_NZ) op_.x2_panel = panel_of(op_.x2);
  bind(inputs, op_.bias, call.bias);
  bind_scales(call);
  AddRmsNorm& tail = op_.then.emplace();
  tail.epsilon = call.epsilon;
  bind(inputs, tail.residual, call.residual);
  bind(inputs, tail.gamma, call.gamma);
  if (!inplace_) bind(outputs, op_.y, call.y);
  bind(outputs, tail.norm, call.norm);
}

void FusedExecutor::bind_scales(const FusedCall& call) {
  if (call.weights == Weights::full) bind(inputs, op_.quant.emplace<Int8Scale>().channel, call.scale);
  if (call.weights != Weights::weight_only) return;
  auto& quant = op_.quant.emplace<WeightScale>();
  quant.group = call.group_size;
  bind(inputs, quant.scale, call.scale);
  bind(inputs, quant.offset, call.offset);
}

aclnnStatus refuse(const Refusal& refusal) { return report(refusal.code, kOperatorMark, refusal.error.message); }

aclnnStatus first_phase(const FusedCall& call) {
  if (const auto refusal = check_first(call); refusal.code != 0) return refuse(refusal);
  const auto device = current_device();
  if (!device) return report_aclnn(device.error());
  const bool empty = is_empty(call);
  if (!empty) {
    if (const auto refusal = check_rest(call); refusal.code != 0) return refuse(refusal);
    if (const auto refusal = check_group(call, (*device)->index()); refusal.code != 0) return refuse(refusal);
  }
  auto executor = std::make_shared<FusedExecutor>(**device, call);
  executor->empty = empty;
  return publish(std::move(executor), call.workspace_size, call.executor);
}

// A FusedCall from its fields in order.
template <class... Fields>
aclnnStatus plan_call(Fields... fields) noexcept {
  return aclnn_call([&] { return first_phase(FusedCall{fields...}); });
}

}  // namespace
}  // namespace tandem::front

using tandem::front::launch;
using tandem::front::plan_call;
using tandem::front::Weights;

extern "C" {

aclnnStatus aclnnWeightQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* antiquantScale,
    const aclTensor* antiquantOffset, const aclTensor* residual, const aclTensor* gamma, double epsilon,
    const char* group, const char* reduceOp, int64_t commTurn, int64_t streamMode, int64_t antiquantGroupSize,
    const aclTensor* y, const aclTensor* normOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return plan_call("aclnnWeightQuantMatmulAllReduceAddRmsNorm", Weights::weight_only, false, x1, x2, bias,
                   antiquantScale, antiquantOffset, residual, gamma, epsilon, group, reduceOp, commTurn, streamMode,
                   antiquantGroupSize, y, normOut, workspaceSize, executor);
}

aclnnStatus aclnnWeightQuantMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                      const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceWeightQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* antiquantScale,
    const aclTensor* antiquantOffset, const aclTensor* residual, const aclTensor* gamma, double epsilon,
    const char* group, const char* reduceOp, int64_t commTurn, int64_t streamMode, int64_t antiquantGroupSize,
    const aclTensor* normOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return plan_call("aclnnInplaceWeightQuantMatmulAllReduceAddRmsNorm", Weights::weight_only, true, x1, x2, bias,
                   antiquantScale, antiquantOffset, residual, gamma, epsilon, group, reduceOp, commTurn, streamMode,
                   antiquantGroupSize, nullptr, normOut, workspaceSize, executor);
}

aclnnStatus aclnnInplaceWeightQuantMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize,
                                                             aclOpExecutor* executor, const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                                const aclTensor* bias, const aclTensor* dequantScale,
                                                                const aclTensor* residual, const aclTensor* gamma,
                                                                double epsilon, const char* group, const char* reduceOp,
                                                                int64_t commTurn, int64_t streamMode,
                                                                const aclTensor* y, const aclTensor* normOut,
                                                                uint64_t* workspaceSize, aclOpExecutor** executor) {
  return plan_call("aclnnQuantMatmulAllReduceAddRmsNorm", Weights::full, false, x1, x2, bias, dequantScale, nullptr,
                   residual, gamma, epsilon, group, reduceOp, commTurn, streamMode, 0, y, normOut, workspaceSize,
                   executor);
}

aclnnStatus aclnnQuantMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* dequantScale,
    const aclTensor* residual, const aclTensor* gamma, double epsilon, const char* group, const char* reduceOp,
    int64_t commTurn, int64_t streamMode, const aclTensor* normOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return plan_call("aclnnInplaceQuantMatmulAllReduceAddRmsNorm", Weights::full, true, x1, x2, bias, dequantScale,
                   nullptr, residual, gamma, epsilon, group, reduceOp, commTurn, streamMode, 0, nullptr, normOut,
                   workspaceSize, executor);
}

aclnnStatus aclnnInplaceQuantMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                       const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMatmulAllReduceAddRmsNormGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                           const aclTensor* bias, const aclTensor* residual,
                                                           const aclTensor* gamma, double epsilon, const char* group,
                                                           const char* reduceOp, int64_t commTurn, int64_t streamMode,
                                                           const aclTensor* y, const aclTensor* normOut,
                                                           uint64_t* workspaceSize, aclOpExecutor** executor) {
  return plan_call("aclnnMatmulAllReduceAddRmsNorm", Weights::plain, false, x1, x2, bias, nullptr, nullptr, residual,
                   gamma, epsilon, group, reduceOp, commTurn, streamMode, 0, y, normOut, workspaceSize, executor);
}

aclnnStatus aclnnMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                           const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* residual, const aclTensor* gamma,
    double epsilon, const char* group, const char* reduceOp, int64_t commTurn, int64_t streamMode,
    const aclTensor* normOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return plan_call("aclnnInplaceMatmulAllReduceAddRmsNorm", Weights::plain, true, x1, x2, bias, nullptr, nullptr,
                   residual, gamma, epsilon, group, reduceOp, commTurn, streamMode, 0, nullptr, normOut, workspaceSize,
                   executor);
}

aclnnStatus aclnnInplaceMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                  const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
