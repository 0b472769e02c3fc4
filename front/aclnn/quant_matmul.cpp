// SPDX-License-Identifier: Apache-2.0
// Products of quantised operands: translation to quant_matmul and weight_quant_matmul.
#include "aclnnop/aclnn_quant_matmul.h"
#include "aclnnop/aclnn_quant_matmul_v3.h"
#include "aclnnop/aclnn_quant_matmul_v4.h"
#include "aclnnop/aclnn_quant_matmul_v5.h"
#include "aclnnop/aclnn_quant_matmul_weight_nz.h"
#include "aclnnop/aclnn_weight_quant_batch_matmul_nz.h"
#include "aclnnop/aclnn_weight_quant_batch_matmul_v2.h"
#include "aclnnop/aclnn_weight_quant_batch_matmul_v3.h"
#include "front/aclnn/translate.h"
#include "tandem/ops/matmul.h"

namespace tandem::front {
namespace {

struct QuantOperands {
  const aclTensor *x1, *x2, *scale, *offset, *token, *bias, *y;
};

void bind_quant(Call<QuantMatmul>& call, const QuantOperands& given, bool transpose_x1, bool transpose_x2) {
  call.in("x1", call.op.x1, given.x1).weight("x2", call.op.x2, call.op.x2_panel, given.x2);
  call.need("scale", call.op.scale, given.scale);
  call.in("offset", call.op.offset, given.offset).in("pertokenScaleOptional", call.op.token, given.token);
  call.in("bias", call.op.bias, given.bias).out("out", call.op.y, given.y);
  unpack_words(call.op.x1);
  unpack_words(call.op.x2);
  transpose_if(transpose_x1, call.op.x1);
  transpose_if(transpose_x2, call.op.x2);
}

struct WeightOperands {
  const aclTensor *x, *weight, *scale, *offset, *bias, *y;
};

void bind_weights(Call<WeightQuantMatmul>& call, const WeightOperands& given, int64_t group) {
  call.in("x", call.op.x, given.x)
      .weight("weight", call.op.weight, call.op.weight_panel, given.weight)
      .in("antiquantScale", call.op.scale, given.scale);
  call.in("antiquantOffsetOptional", call.op.offset, given.offset).in("biasOptional", call.op.bias, given.bias);
  call.out("y", call.op.y, given.y).check.dtype("x", call.op.x, {DType::f16, DType::bf16});
  unpack_words(call.op.weight);
  call.op.group = group;
  const int64_t k = call.op.x.rank > 0 ? call.op.x.dim(-1) : 0;
  call.check.that(group == 0 || (group % 32 == 0 && group > 0 && group < k),
                  "antiquantGroupSize is {}, 0 or a multiple of 32 below k = {} wanted", group, k);
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnQuantMatmulV3GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* scale,
                                               const aclTensor* offset, const aclTensor* bias, bool transposeX1,
                                               bool transposeX2, const aclTensor* out, uint64_t* workspaceSize,
                                               aclOpExecutor** executor) {
  return translate<tandem::QuantMatmul>("aclnnQuantMatmulV3", workspaceSize, executor, [&](auto& call) {
    front::bind_quant(call, {x1, x2, scale, offset, nullptr, bias, out}, transposeX1, transposeX2);
  });
}

aclnnStatus aclnnQuantMatmulV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulV4GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* scale,
                                               const aclTensor* offset, const aclTensor* pertokenScaleOptional,
                                               const aclTensor* bias, bool transposeX1, bool transposeX2,
                                               const aclTensor* out, uint64_t* workspaceSize,
                                               aclOpExecutor** executor) {
  return translate<tandem::QuantMatmul>("aclnnQuantMatmulV4", workspaceSize, executor, [&](auto& call) {
    front::bind_quant(call, {x1, x2, scale, offset, pertokenScaleOptional, bias, out}, transposeX1, transposeX2);
  });
}

aclnnStatus aclnnQuantMatmulV4(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulV5GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* x1Scale,
                                               const aclTensor* x2Scale, const aclTensor* yScale,
                                               const aclTensor* x1Offset, const aclTensor* x2Offset,
                                               const aclTensor* yOffset, const aclTensor* bias, bool transposeX1,
                                               bool transposeX2, int64_t groupSize, const aclTensor* out,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::QuantMatmul>("aclnnQuantMatmulV5", workspaceSize, executor, [&](auto& call) {
    front::bind_quant(call, {x1, x2, x2Scale, yOffset, x1Scale, bias, out}, transposeX1, transposeX2);
    call.absent("yScale", yScale).absent("x1Offset", x1Offset).absent("x2Offset", x2Offset);
    call.check.range("groupSize", groupSize, 0, 0);
  });
}

aclnnStatus aclnnQuantMatmulV5(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnWeightQuantBatchMatmulV2GetWorkspaceSize(
    const aclTensor* x, const aclTensor* weight, const aclTensor* antiquantScale,
    const aclTensor* antiquantOffsetOptional, const aclTensor* quantScaleOptional, const aclTensor* quantOffsetOptional,
    const aclTensor* biasOptional, int antiquantGroupSize, const aclTensor* y, uint64_t* workspaceSize,
    aclOpExecutor** executor) {
  return translate<tandem::WeightQuantMatmul>(
      "aclnnWeightQuantBatchMatmulV2", workspaceSize, executor, [&](auto& call) {
        front::bind_weights(call, {x, weight, antiquantScale, antiquantOffsetOptional, biasOptional, y},
                            antiquantGroupSize);
        call.absent("quantScaleOptional", quantScaleOptional).absent("quantOffsetOptional", quantOffsetOptional);
      });
}

aclnnStatus aclnnWeightQuantBatchMatmulV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnWeightQuantBatchMatmulV3GetWorkspaceSize(
    const aclTensor* x, const aclTensor* weight, const aclTensor* antiquantScale,
    const aclTensor* antiquantOffsetOptional, const aclTensor* quantScaleOptional, const aclTensor* quantOffsetOptional,
    const aclTensor* biasOptional, int antiquantGroupSize, int innerPrecise, const aclTensor* y,
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::WeightQuantMatmul>(
      "aclnnWeightQuantBatchMatmulV3", workspaceSize, executor, [&](auto& call) {
        front::bind_weights(call, {x, weight, antiquantScale, antiquantOffsetOptional, biasOptional, y},
                            antiquantGroupSize);
        call.absent("quantScaleOptional", quantScaleOptional).absent("quantOffsetOptional", quantOffsetOptional);
        call.check.range("innerPrecise", innerPrecise, 0, 1);
      });
}

aclnnStatus aclnnWeightQuantBatchMatmulV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulV2GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                               const aclTensor* deqScale, bool adjX1, bool adjX2, const aclTensor* out,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::QuantMatmul>("aclnnQuantMatmulV2", workspaceSize, executor, [&](auto& call) {
    front::bind_quant(call, {x1, x2, deqScale, nullptr, nullptr, bias, out}, adjX1, adjX2);
  });
}

aclnnStatus aclnnQuantMatmulV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulWeightNzGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* x1Scale,
                                                     const aclTensor* x2Scale, const aclTensor* yScale,
                                                     const aclTensor* x1Offset, const aclTensor* x2Offset,
                                                     const aclTensor* yOffset, const aclTensor* bias, bool transposeX1,
                                                     bool transposeX2, int64_t groupSize, const aclTensor* out,
                                                     uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::QuantMatmul>("aclnnQuantMatmulWeightNz", workspaceSize, executor, [&](auto& call) {
    front::bind_quant(call, {x1, x2, x2Scale, yOffset, x1Scale, bias, out}, transposeX1, transposeX2);
    front::want_packed(call.check, "x2", x2);
    call.absent("yScale", yScale).absent("x1Offset", x1Offset).absent("x2Offset", x2Offset);
    call.check.range("groupSize", groupSize, 0, 0);
  });
}

aclnnStatus aclnnQuantMatmulWeightNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                     aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnWeightQuantBatchMatmulNzGetWorkspaceSize(
    const aclTensor* x, const aclTensor* weight, const aclTensor* antiquantScale,
    const aclTensor* antiquantOffsetOptional, const aclTensor* quantScaleOptional, const aclTensor* quantOffsetOptional,
    const aclTensor* biasOptional, int antiquantGroupSize, const aclTensor* y, uint64_t* workspaceSize,
    aclOpExecutor** executor) {
  return translate<tandem::WeightQuantMatmul>(
      "aclnnWeightQuantBatchMatmulNz", workspaceSize, executor, [&](auto& call) {
        front::bind_weights(call, {x, weight, antiquantScale, antiquantOffsetOptional, biasOptional, y},
                            antiquantGroupSize);
        front::want_packed(call.check, "weight", weight);
        call.absent("quantScaleOptional", quantScaleOptional).absent("quantOffsetOptional", quantOffsetOptional);
      });
}

aclnnStatus aclnnWeightQuantBatchMatmulNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
