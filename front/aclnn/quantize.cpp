// SPDX-License-Identifier: Apache-2.0
// Quantisers and their inverses: translation to quantize, dequantize, dynamic_quant and trans_quant_param.
#include "tandem/ops/quantize.h"
#include "aclnnop/aclnn_ascend_anti_quant.h"
#include "aclnnop/aclnn_ascend_quant.h"
#include "aclnnop/aclnn_ascend_quant_v3.h"
#include "aclnnop/aclnn_dynamic_quant.h"
#include "aclnnop/aclnn_dynamic_quant_v2.h"
#include "aclnnop/aclnn_dynamic_quant_v3.h"
#include "aclnnop/aclnn_quantize.h"
#include "aclnnop/aclnn_trans_quant_param_v2.h"
#include "aclnnop/aclnn_trans_quant_param_v3.h"
#include "front/acl/product.h"
#include "front/aclnn/translate.h"

namespace tandem::front {
namespace {

void set_rounding(Call<Quantize>& call, const char* mode) {
  constexpr std::pair<std::string_view, Rounding> kModes[] = {{"round", Rounding::half_even},
                                                              {"floor", Rounding::floor},
                                                              {"ceil", Rounding::ceil},
                                                              {"trunc", Rounding::truncate}};
  const std::string_view wanted = text_of(mode, "round");
  for (const auto& [name, rounding] : kModes) {
    if (name != wanted) continue;
    call.op.rounding = rounding;
    return;
  }
  call.check.that(false, "roundMode is \"{}\", round, floor, ceil or trunc wanted", wanted);
}

// dstType is the dtype of y once more; int32 words hold int4.
void set_destination(Check& check, TensorView& y, const aclTensor* given, int64_t type) {
  check.that(type == ACL_INT8 || type == ACL_INT4 || type == ACL_INT32, "dstType is {}, 2, 3 or 29 wanted", type);
  check.that(given == nullptr || given->type == type, "y {} has another dtype than dstType {}", y.describe(), type);
  unpack_words(y);
}

// 16-bit activations come with scales of their own dtype.
void match_scale(Call<Quantize>& call) {
  if (call.op.x.present() && call.op.x.dtype != DType::f32)
    call.check.same_dtype("scale", call.op.scale, "x", call.op.x.dtype);
}

// bf16 is not on every product.
void watch_product(Call<Quantize>& call) {
  if (call.check.failed() || !call.op.x.present()) return;
  const std::string limit = refused_by_product({"quantize", call.op.x.dtype});
  call.check.that(limit.empty(), "x: {}", limit);
}

void half_only(Call<DynamicQuant>& call) { call.check.dtype("x", call.op.x, {DType::f16, DType::bf16}); }

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnAscendQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* scale, const aclTensor* offset,
                                             bool sqrtMode, const char* roundMode, int32_t dstType, const aclTensor* y,
                                             uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Quantize>("aclnnAscendQuant", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x)
        .in("scale", call.op.scale, scale)
        .in("offset", call.op.offset, offset)
        .out("y", call.op.y, y);
    call.op.square = sqrtMode;
    front::set_rounding(call, roundMode);
    front::set_destination(call.check, call.op.y, y, dstType);
    front::match_scale(call);
    front::watch_product(call);
  });
}

aclnnStatus aclnnAscendQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAscendQuantV3GetWorkspaceSize(const aclTensor* x, const aclTensor* scale, const aclTensor* offset,
                                               bool sqrtMode, const char* roundMode, int32_t dstType, int32_t axis,
                                               const aclTensor* y, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Quantize>("aclnnAscendQuantV3", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x)
        .in("scale", call.op.scale, scale)
        .in("offset", call.op.offset, offset)
        .out("y", call.op.y, y);
    call.op.square = sqrtMode;
    const int64_t last = x == nullptr ? -1 : x->view.rank - 1;
    call.check.that(axis == -1 || axis == last, "axis is {}, -1 wanted", axis);
    front::set_rounding(call, roundMode);
    front::set_destination(call.check, call.op.y, y, dstType);
    front::match_scale(call);
    front::watch_product(call);
  });
}

aclnnStatus aclnnAscendQuantV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantizeGetWorkspaceSize(const aclTensor* x, const aclTensor* scales, const aclTensor* zeroPoints,
                                          aclDataType dtype, int32_t axis, const aclTensor* out,
                                          uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Quantize>("aclnnQuantize", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x)
        .in("scales", call.op.scale, scales)
        .in("zeroPoints", call.op.offset, zeroPoints)
        .out("out", call.op.y, out);
    call.op.divide = true;
    call.check.that(dtype == ACL_INT8, "dtype is {}, ACL_INT8 wanted", static_cast<int>(dtype));
    const int64_t last = x == nullptr ? -1 : x->view.rank - 1;
    const bool single = scales == nullptr || scales->view.elements() == 1;
    call.check.that(single || axis == -1 || axis == last, "axis is {}, {} wanted (the last)", axis, last);
    front::watch_product(call);
  });
}

aclnnStatus aclnnQuantize(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnDynamicQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                              const aclTensor* yOut, const aclTensor* scaleOut, uint64_t* workspaceSize,
                                              aclOpExecutor** executor) {
  return translate<tandem::DynamicQuant>("aclnnDynamicQuant", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x).in("smoothScalesOptional", call.op.smooth, smoothScalesOptional);
    call.out("yOut", call.op.y, yOut).out("scaleOut", call.op.scale, scaleOut);
    front::half_only(call);
  });
}

aclnnStatus aclnnDynamicQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnDynamicQuantV2GetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                                const aclTensor* groupIndexOptional, int64_t dstType,
                                                const aclTensor* yOut, const aclTensor* scaleOut,
                                                const aclTensor* offsetOut, uint64_t* workspaceSize,
                                                aclOpExecutor** executor) {
  return translate<tandem::DynamicQuant>("aclnnDynamicQuantV2", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x).in("smoothScalesOptional", call.op.smooth, smoothScalesOptional);
    call.in("groupIndexOptional", call.op.group, groupIndexOptional).out("yOut", call.op.y, yOut);
    call.out("scaleOut", call.op.scale, scaleOut).out("offsetOut", call.op.offset, offsetOut);
    front::set_destination(call.check, call.op.y, yOut, dstType);
    front::half_only(call);
  });
}

aclnnStatus aclnnDynamicQuantV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnDynamicQuantV3GetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                                const aclTensor* groupIndexOptional, int64_t dstType,
                                                bool isSymmetrical, const char* quantMode, const aclTensor* yOut,
                                                const aclTensor* scaleOut, const aclTensor* offsetOut,
                                                uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::DynamicQuant>("aclnnDynamicQuantV3", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x).in("smoothScalesOptional", call.op.smooth, smoothScalesOptional);
    call.in("groupIndexOptional", call.op.group, groupIndexOptional).out("yOut", call.op.y, yOut);
    call.out("scaleOut", call.op.scale, scaleOut);
    if (!isSymmetrical) call.need("offsetOut", call.op.offset, offsetOut);
    call.check.that(front::text_of(quantMode, "pertoken") == "pertoken", "quantMode is \"{}\", \"pertoken\" wanted",
                    front::text_of(quantMode, ""));
    front::set_destination(call.check, call.op.y, yOut, dstType);
    front::half_only(call);
  });
}

aclnnStatus aclnnDynamicQuantV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAscendAntiQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* scale, const aclTensor* offset,
                                                 int64_t dstType, bool sqrtMode, const aclTensor* y,
                                                 uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Dequantize>("aclnnAscendAntiQuant", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x)
        .in("scale", call.op.scale, scale)
        .in("offset", call.op.offset, offset)
        .out("y", call.op.y, y);
    front::unpack_words(call.op.x);
    call.op.square = sqrtMode;
    call.check.that(dstType == ACL_FLOAT16 || dstType == ACL_BF16, "dstType is {}, 1 or 27 wanted", dstType);
    call.check.that(y == nullptr || y->type == dstType, "y {} has another dtype than dstType {}", call.op.y.describe(),
                    dstType);
  });
}

aclnnStatus aclnnAscendAntiQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnTransQuantParamV2GetWorkspaceSize(const aclTensor* scale, const aclTensor* offset,
                                                   const aclTensor* out, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor) {
  return translate<tandem::TransQuantParam>("aclnnTransQuantParamV2", workspaceSize, executor, [&](auto& call) {
    call.in("scale", call.op.scale, scale).in("offset", call.op.offset, offset).out("out", call.op.y, out);
  });
}

aclnnStatus aclnnTransQuantParamV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnTransQuantParamV3GetWorkspaceSize(const aclTensor* scale, const aclTensor* offset, int64_t roundMode,
                                                   const aclTensor* out, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor) {
  return translate<tandem::TransQuantParam>("aclnnTransQuantParamV3", workspaceSize, executor, [&](auto& call) {
    call.in("scale", call.op.scale, scale).in("offset", call.op.offset, offset).out("out", call.op.y, out);
    call.check.range("roundMode", roundMode, 0, 1);
    call.op.round = roundMode == 1;
  });
}

aclnnStatus aclnnTransQuantParamV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
