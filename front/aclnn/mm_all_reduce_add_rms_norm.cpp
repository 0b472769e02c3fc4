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

aclnnStatus guarded_first_phase(const FusedCall& call) noexcept {
  return aclnn_call([&] { return first_phase(call); });
}

}  // namespace
}  // namespace tandem::front

using tandem::front::FusedCall;
using tandem::front::guarded_first_phase;
using tandem::front::launch;
using tandem::front::Weights;

extern "C" {

aclnnStatus aclnnWeightQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* antiquantScale,
    const aclTensor* antiquantOffset, const aclTensor* residual, const aclTensor* gamma, double epsilon,
    const char* group, const char* reduceOp, int64_t commTurn, int64_t streamMode, int64_t antiquantGroupSize,
    const aclTensor* y, const aclTensor* normOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return guarded_first_phase({.name = "aclnnWeightQuantMatmulAllReduceAddRmsNorm", .weights = Weights::weight_only,
                              .x1 = x1, .x2 = x2, .bias = bias, .scale = antiquantScale, .offset = antiquantOffset,
                              .residual = residual, .gamma = gamma, .epsilon = epsilon, .group = group,
                              .reduce_op = reduceOp, .comm_turn = commTurn, .stream_mode = streamMode,
                              .group_size = antiquantGroupSize, .y = y, .norm = normOut,
                              .workspace_size = workspaceSize, .executor = executor});
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
  return guarded_first_phase({.name = "aclnnInplaceWeightQuantMatmulAllReduceAddRmsNorm",
                              .weights = Weights::weight_only, .inplace = true, .x1 = x1, .x2 = x2, .bias = bias,
                              .scale = antiquantScale, .offset = antiquantOffset, .residual = residual, .gamma = gamma,
                              .epsilon = epsilon, .group = group, .reduce_op = reduceOp, .comm_turn = commTurn,
                              .stream_mode = streamMode, .group_size = antiquantGroupSize, .norm = normOut,
                              .workspace_size = workspaceSize, .executor = executor});
}

aclnnStatus aclnnInplaceWeightQuantMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize,
                                                             aclOpExecutor* executor, const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* dequantScale,
    const aclTensor* residual, const aclTensor* gamma, double epsilon, const char* group, const char* reduceOp,
    int64_t commTurn, int64_t streamMode, const aclTensor* y, const aclTensor* normOut, uint64_t* workspaceSize,
    aclOpExecutor** executor) {
  return guarded_first_phase({.name = "aclnnQuantMatmulAllReduceAddRmsNorm", .weights = Weights::full, .x1 = x1,
                              .x2 = x2, .bias = bias, .scale = dequantScale, .residual = residual, .gamma = gamma,
                              .epsilon = epsilon, .group = group, .reduce_op = reduceOp, .comm_turn = commTurn,
                              .stream_mode = streamMode, .y = y, .norm = normOut, .workspace_size = workspaceSize,
                              .executor = executor});
}

aclnnStatus aclnnQuantMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceQuantMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* dequantScale,
    const aclTensor* residual, const aclTensor* gamma, double epsilon, const char* group, const char* reduceOp,
    int64_t commTurn, int64_t streamMode, const aclTensor* normOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return guarded_first_phase({.name = "aclnnInplaceQuantMatmulAllReduceAddRmsNorm", .weights = Weights::full,
                              .inplace = true, .x1 = x1, .x2 = x2, .bias = bias, .scale = dequantScale,
                              .residual = residual, .gamma = gamma, .epsilon = epsilon, .group = group,
                              .reduce_op = reduceOp, .comm_turn = commTurn, .stream_mode = streamMode, .norm = normOut,
                              .workspace_size = workspaceSize, .executor = executor});
}

aclnnStatus aclnnInplaceQuantMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                       const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* residual, const aclTensor* gamma,
    double epsilon, const char* group, const char* reduceOp, int64_t commTurn, int64_t streamMode, const aclTensor* y,
    const aclTensor* normOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return guarded_first_phase({.name = "aclnnMatmulAllReduceAddRmsNorm", .weights = Weights::plain, .x1 = x1, .x2 = x2,
                              .bias = bias, .residual = residual, .gamma = gamma, .epsilon = epsilon, .group = group,
                              .reduce_op = reduceOp, .comm_turn = commTurn, .stream_mode = streamMode, .y = y,
                              .norm = normOut, .workspace_size = workspaceSize, .executor = executor});
}

aclnnStatus aclnnMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                           const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceMatmulAllReduceAddRmsNormGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* residual, const aclTensor* gamma,
    double epsilon, const char* group, const char* reduceOp, int64_t commTurn, int64_t streamMode,
    const aclTensor* normOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return guarded_first_phase({.name = "aclnnInplaceMatmulAllReduceAddRmsNorm", .weights = Weights::plain,
                              .inplace = true, .x1 = x1, .x2 = x2, .bias = bias, .residual = residual, .gamma = gamma,
                              .epsilon = epsilon, .group = group, .reduce_op = reduceOp, .comm_turn = commTurn,
                              .stream_mode = streamMode, .norm = normOut, .workspace_size = workspaceSize,
                              .executor = executor});
}

aclnnStatus aclnnInplaceMatmulAllReduceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                                  const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
