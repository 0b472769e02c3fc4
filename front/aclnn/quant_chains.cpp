// SPDX-License-Identifier: Apache-2.0
// Quantised products with something before or behind them: translation to chains with quant_matmul and its relatives.
#include <algorithm>
#include <cstdlib>

#include "aclnnop/aclnn_fused_quant_matmul_weight_nz.h"
#include "aclnnop/aclnn_quant_matmul.h"
#include "aclnnop/aclnn_trans_quant_param.h"
#include "aclnnop/aclnn_weight_quant_batch_matmul.h"
#include "front/aclnn/chain.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/quantize.h"

namespace tandem::front {
namespace {

// An activation by its name: absent, maximum with zero, or one of the table.
enum class Tail : uint8_t { none, relu, gelu };

Tail tail_of(Check& check, std::string_view name) {
  if (name.empty()) return Tail::none;
  check.that(name == "relu" || name == "gelu_tanh", "fusedOpType is \"{}\", \"\", relu or gelu_tanh wanted", name);
  return name == "relu" ? Tail::relu : Tail::gelu;
}

void apply(Chain& chain, Tail tail, const TensorView& y) {
  if (tail == Tail::gelu) chain.then(Activation{y, y, Unary::gelu});
  if (tail != Tail::relu) return;
  TensorView zero = chain.constant(0);
  zero.dtype = y.dtype;
  chain.then(Arithmetic{y, zero, y, Binary::maximum});
}

Status encode(const float* scales, uint64_t scale_count, const float* offsets, uint64_t offset_count, uint64_t** words,
              uint64_t* count) {
  Check check("aclnnTransQuantParam");
  check.present("scaleArray", scales != nullptr).present("quantParam", words != nullptr);
  check.present("quantParamSize", count != nullptr);
  check.that(scale_count > 0, "scaleSize is {}, a positive number wanted", scale_count);
  check.that((offsets == nullptr) == (offset_count == 0), "offsetSize is {}, {} wanted ({})", offset_count,
             offsets == nullptr ? "0" : "a positive number", "offsetArray");
  const uint64_t size = std::max(scale_count, offset_count);
  check.that(scale_count == 1 || scale_count == size, "scaleSize is {}, 1 or {} wanted", scale_count, size);
  check.that(offset_count <= 1 || offset_count == size, "offsetSize is {}, 0, 1 or {} wanted", offset_count, size);
  check.that(size <= (uint64_t{1} << 40), "scaleSize is {}, at most 2^40 wanted", size);
  if (check.failed()) return check.status();
  auto* result = static_cast<uint64_t*>(std::malloc(size * sizeof(uint64_t)));
  if (result == nullptr)
    return fail(ErrorCode::out_of_memory, "aclnnTransQuantParam: memory for quantParam was refused");
  for (uint64_t i = 0; i < size; ++i) {
    const float offset = offset_count == 0 ? 0 : offsets[offset_count == 1 ? 0 : i];
    result[i] = encode_scale(scales[scale_count == 1 ? 0 : i], offset, false);
  }
  *words = result;
  *count = size;
  return {};
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnTransQuantParam(const float* scaleArray, uint64_t scaleSize, const float* offsetArray,
                                 uint64_t offsetSize, uint64_t** quantParam, uint64_t* quantParamSize) {
  return front::aclnn_call([&]() -> aclnnStatus {
    const auto status = front::encode(scaleArray, scaleSize, offsetArray, offsetSize, quantParam, quantParamSize);
    return status ? ACLNN_SUCCESS : front::report_aclnn(status.error());
  });
}

aclnnStatus aclnnQuantMatmulGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                             float deqScale, aclTensor* out, uint64_t* workspaceSize,
                                             aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnQuantMatmul", workspaceSize, executor, [&](auto& call) {
    const tandem::TensorView& a = call.needed("x1", x1);
    int64_t panel = 0;
    const tandem::TensorView& b = call.weight_of("x2", x2, panel);
    const tandem::TensorView& added = call.given("bias", bias);
    const tandem::TensorView& y = call.result("out", out);
    call.op.build = [&a, &b, &added, &y, panel, deqScale](front::Chain& chain) {
      chain.then(tandem::QuantMatmul{
          .x1 = a, .x2 = b, .scale = chain.constant(deqScale), .bias = added, .y = y, .x2_panel = panel});
    };
  });
}

aclnnStatus aclnnQuantMatmul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnFusedQuantMatmulWeightNzGetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* x1Scale, const aclTensor* x2Scale,
    const aclTensor* yScaleOptional, const aclTensor* x1OffsetOptional, const aclTensor* x2OffsetOptional,
    const aclTensor* yOffsetOptional, const aclTensor* biasOptional, const aclTensor* x3Optional,
    const char* fusedOpType, int64_t groupSizeOptional, aclTensor* out, uint64_t* workspaceSize,
    aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnFusedQuantMatmulWeightNz", workspaceSize, executor, [&](auto& call) {
    const tandem::TensorView& a = call.needed("x1", x1);
    int64_t panel = 0;
    const tandem::TensorView& b = call.weight_of("x2", x2, panel);
    front::want_packed(call.check, "x2", x2);
    const tandem::TensorView& token = call.given("x1Scale", x1Scale);
    const tandem::TensorView& scale = call.needed("x2Scale", x2Scale);
    const tandem::TensorView& added = call.given("biasOptional", biasOptional);
    const tandem::TensorView& y = call.result("out", out);
    call.absent("yScaleOptional", yScaleOptional).absent("x1OffsetOptional", x1OffsetOptional);
    call.absent("x2OffsetOptional", x2OffsetOptional).absent("yOffsetOptional", yOffsetOptional);
    call.absent("x3Optional", x3Optional).check.range("groupSizeOptional", groupSizeOptional, 0, 0);
    const auto tail = front::tail_of(call.check, front::text_of(fusedOpType, ""));
    call.op.build = [&a, &b, &token, &scale, &added, &y, panel, tail](front::Chain& chain) {
      chain.then(tandem::QuantMatmul{
          .x1 = a, .x2 = b, .scale = scale, .token = token, .bias = added, .y = y, .x2_panel = panel});
      front::apply(chain, tail, y);
    };
  });
}

aclnnStatus aclnnFusedQuantMatmulWeightNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnWeightQuantBatchMatmulGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                        const aclTensor* diagonalMatrix, const aclTensor* deqOffset,
                                                        const aclTensor* deqScale, const aclTensor* addOffset,
                                                        const aclTensor* mulScale, const aclTensor* bias,
                                                        bool transposeX1, bool transposeX2, float antiquantScale,
                                                        float antiquantOffset, aclTensor* out, uint64_t* workspaceSize,
                                                        aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnWeightQuantBatchMatmul", workspaceSize, executor, [&](auto& call) {
    tandem::TensorView& x = call.needed("x1", x1);
    int64_t panel = 0;
    tandem::TensorView& weight = call.weight_of("x2", x2, panel);
    const tandem::TensorView& scale = call.given("mulScale", mulScale);
    const tandem::TensorView& offset = call.given("addOffset", addOffset);
    const tandem::TensorView& added = call.given("bias", bias);
    const tandem::TensorView& y = call.result("out", out);
    static_cast<void>(diagonalMatrix), static_cast<void>(deqOffset), static_cast<void>(deqScale);
    call.check.that(scale.present() == offset.present(), "addOffset is {}, both it and mulScale or neither wanted",
                    offset.describe());
    front::transpose_if(transposeX1, x);
    front::transpose_if(transposeX2, weight);
    call.op.build = [&, panel, antiquantScale, antiquantOffset](front::Chain& chain) {
      tandem::WeightQuantMatmul product{
          .x = x, .weight = weight, .scale = scale, .offset = offset, .bias = added, .y = y};
      if (!scale.present())
        product.scale = chain.constant(antiquantScale), product.offset = chain.constant(antiquantOffset);
      product.weight_panel = panel;
      chain.then(product);
    };
  });
}

aclnnStatus aclnnWeightQuantBatchMatmul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
