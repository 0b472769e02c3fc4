// SPDX-License-Identifier: Apache-2.0
// The vendor's functions in terms of the operands' names in the cases.
#include <aclnnop/aclnn_add.h>
#include <aclnnop/aclnn_add_rms_norm.h>
#include <aclnnop/aclnn_add_rms_norm_dynamic_quant.h>
#include <aclnnop/aclnn_add_rms_norm_dynamic_quant_v2.h>
#include <aclnnop/aclnn_add_rms_norm_quant.h>
#include <aclnnop/aclnn_add_rms_norm_quant_v2.h>
#include <aclnnop/aclnn_addmm.h>
#include <aclnnop/aclnn_addmv.h>
#include <aclnnop/aclnn_apply_rotary_pos_emb.h>
#include <aclnnop/aclnn_apply_rotary_pos_emb_v2.h>
#include <aclnnop/aclnn_ascend_anti_quant.h>
#include <aclnnop/aclnn_ascend_quant.h>
#include <aclnnop/aclnn_ascend_quant_v3.h>
#include <aclnnop/aclnn_baddbmm.h>
#include <aclnnop/aclnn_batch_matmul.h>
#include <aclnnop/aclnn_cast.h>
#include <aclnnop/aclnn_div.h>
#include <aclnnop/aclnn_dot.h>
#include <aclnnop/aclnn_dynamic_quant.h>
#include <aclnnop/aclnn_dynamic_quant_v2.h>
#include <aclnnop/aclnn_dynamic_quant_v3.h>
#include <aclnnop/aclnn_gelu.h>
#include <aclnnop/aclnn_gemm.h>
#include <aclnnop/aclnn_grouped_matmul.h>
#include <aclnnop/aclnn_grouped_matmul_v2.h>
#include <aclnnop/aclnn_grouped_matmul_v3.h>
#include <aclnnop/aclnn_grouped_matmul_v4.h>
#include <aclnnop/aclnn_grouped_matmul_v5.h>
#include <aclnnop/aclnn_matmul.h>
#include <aclnnop/aclnn_mm.h>
#include <aclnnop/aclnn_moe_compute_expert_tokens.h>
#include <aclnnop/aclnn_moe_finalize_routing.h>
#include <aclnnop/aclnn_moe_finalize_routing_v2.h>
#include <aclnnop/aclnn_moe_gating_top_k_softmax.h>
#include <aclnnop/aclnn_moe_gating_top_k_softmax_v2.h>
#include <aclnnop/aclnn_moe_init_routing.h>
#include <aclnnop/aclnn_moe_init_routing_v2.h>
#include <aclnnop/aclnn_mul.h>
#include <aclnnop/aclnn_mv.h>
#include <aclnnop/aclnn_quant_matmul.h>
#include <aclnnop/aclnn_quant_matmul_v3.h>
#include <aclnnop/aclnn_quant_matmul_v4.h>
#include <aclnnop/aclnn_quant_matmul_v5.h>
#include <aclnnop/aclnn_quantize.h>
#include <aclnnop/aclnn_rms_norm.h>
#include <aclnnop/aclnn_rms_norm_quant.h>
#include <aclnnop/aclnn_rotary_position_embedding.h>
#include <aclnnop/aclnn_silu.h>
#include <aclnnop/aclnn_softmax.h>
#include <aclnnop/aclnn_sub.h>
#include <aclnnop/aclnn_swi_glu.h>
#include <aclnnop/aclnn_trans_quant_param_v2.h>
#include <aclnnop/aclnn_trans_quant_param_v3.h>
#include <aclnnop/aclnn_weight_quant_batch_matmul_v2.h>
#include <aclnnop/aclnn_weight_quant_batch_matmul_v3.h>

#include "tests/ops/aclnn_call.h"

namespace tandem::ops_test {
namespace {

using V = VendorOperands;

// 0 and 1 of the cases as the program's own numbers.
int32_t y_type(const V& v) { return static_cast<int32_t>(v.integer("dstType", ACL_INT8)); }

std::vector<Form> norms() {
  return {
      {"aclnnRmsNorm",
       [](V& v) {
         return aclnnRmsNormGetWorkspaceSize(v.tensor("x"), v.tensor("gamma"), v.number("epsilon", 1e-6), v.tensor("y"),
                                             v.tensor("rstd"), &v.size, &v.executor);
       },
       aclnnRmsNorm},
      {"aclnnAddRmsNorm",
       [](V& v) {
         return aclnnAddRmsNormGetWorkspaceSize(v.tensor("x"), v.tensor("residual"), v.tensor("gamma"),
                                                v.number("epsilon", 1e-6), v.tensor("y"), v.tensor("rstd"),
                                                v.tensor("sum"), &v.size, &v.executor);
       },
       aclnnAddRmsNorm},
      {"aclnnAddRmsNormQuant",
       [](V& v) {
         return aclnnAddRmsNormQuantGetWorkspaceSize(
             v.tensor("x"), v.tensor("residual"), v.tensor("gamma"), v.tensor("scale1"), v.tensor("scale2"),
             v.tensor("offset1"), v.tensor("offset2"), v.integer("axis", -1), v.number("epsilon", 1e-6),
             v.number("divide") != 0, v.tensor("y1"), v.tensor("y2"), v.tensor("sum"), &v.size, &v.executor);
       },
       aclnnAddRmsNormQuant},
      {"aclnnAddRmsNormQuantV2",
       [](V& v) {
         return aclnnAddRmsNormQuantV2GetWorkspaceSize(
             v.tensor("x"), v.tensor("residual"), v.tensor("gamma"), v.tensor("scale1"), v.tensor("scale2"),
             v.tensor("offset1"), v.tensor("offset2"), v.tensor("beta"), v.integer("axis", -1),
             v.number("epsilon", 1e-6), v.number("divide") != 0, v.tensor("y1"), v.tensor("y2"), v.tensor("sum"),
             v.tensor("norm"), &v.size, &v.executor);
       },
       aclnnAddRmsNormQuantV2},
      {"aclnnRmsNormQuant",
       [](V& v) {
         return aclnnRmsNormQuantGetWorkspaceSize(v.tensor("x"), v.tensor("gamma"), v.tensor("beta"),
                                                  v.tensor("scale1"), v.tensor("offset1"), v.number("epsilon", 1e-6),
                                                  v.tensor("y1"), &v.size, &v.executor);
       },
       aclnnRmsNormQuant},
      {"aclnnAddRmsNormDynamicQuant",
       [](V& v) {
         return aclnnAddRmsNormDynamicQuantGetWorkspaceSize(
             v.tensor("x"), v.tensor("residual"), v.tensor("gamma"), v.tensor("smooth1"), v.tensor("smooth2"),
             v.number("epsilon", 1e-6), v.tensor("y1"), v.tensor("y2"), v.tensor("sum"), v.tensor("row_scale1"),
             v.tensor("row_scale2"), &v.size, &v.executor);
       },
       aclnnAddRmsNormDynamicQuant},
      {"aclnnAddRmsNormDynamicQuantV2",
       [](V& v) {
         return aclnnAddRmsNormDynamicQuantV2GetWorkspaceSize(
             v.tensor("x"), v.tensor("residual"), v.tensor("gamma"), v.tensor("smooth1"), v.tensor("smooth2"),
             v.tensor("beta"), v.number("epsilon", 1e-6), nullptr, v.tensor("y1"), v.tensor("y2"), v.tensor("sum"),
             v.tensor("row_scale1"), v.tensor("row_scale2"), &v.size, &v.executor);
       },
       aclnnAddRmsNormDynamicQuantV2},
  };
}

std::vector<Form> quantisers() {
  return {
      {"aclnnAscendQuant",
       [](V& v) {
         return aclnnAscendQuantGetWorkspaceSize(v.tensor("x"), v.tensor("scale"), v.tensor("offset"),
                                                 v.number("square") != 0, v.word("rounding"), y_type(v), v.tensor("y"),
                                                 &v.size, &v.executor);
       },
       aclnnAscendQuant},
      {"aclnnAscendQuantV3",
       [](V& v) {
         return aclnnAscendQuantV3GetWorkspaceSize(
             v.tensor("x"), v.tensor("scale"), v.tensor("offset"), v.number("square") != 0, v.word("rounding"),
             y_type(v), static_cast<int32_t>(v.integer("axis", -1)), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnAscendQuantV3},
      {"aclnnQuantize",
       [](V& v) {
         return aclnnQuantizeGetWorkspaceSize(
             v.tensor("x"), v.tensor("scale"), v.tensor("offset"), static_cast<aclDataType>(y_type(v)),
             static_cast<int32_t>(v.integer("axis", -1)), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnQuantize},
      {"aclnnDynamicQuant",
       [](V& v) {
         return aclnnDynamicQuantGetWorkspaceSize(v.tensor("x"), v.tensor("smooth"), v.tensor("y"), v.tensor("scale"),
                                                  &v.size, &v.executor);
       },
       aclnnDynamicQuant},
      {"aclnnDynamicQuantV2",
       [](V& v) {
         return aclnnDynamicQuantV2GetWorkspaceSize(v.tensor("x"), v.tensor("smooth"), v.tensor("group"), y_type(v),
                                                    v.tensor("y"), v.tensor("scale"), v.tensor("offset"), &v.size,
                                                    &v.executor);
       },
       aclnnDynamicQuantV2},
      {"aclnnDynamicQuantV3",
       [](V& v) {
         return aclnnDynamicQuantV3GetWorkspaceSize(v.tensor("x"), v.tensor("smooth"), v.tensor("group"), y_type(v),
                                                    v.tensor("offset") == nullptr, v.word("mode"), v.tensor("y"),
                                                    v.tensor("scale"), v.tensor("offset"), &v.size, &v.executor);
       },
       aclnnDynamicQuantV3},
      {"aclnnAscendAntiQuant",
       [](V& v) {
         return aclnnAscendAntiQuantGetWorkspaceSize(v.tensor("x"), v.tensor("scale"), v.tensor("offset"),
                                                     v.integer("dstType", ACL_FLOAT16), v.number("square") != 0,
                                                     v.tensor("y"), &v.size, &v.executor);
       },
       aclnnAscendAntiQuant},
      {"aclnnTransQuantParamV2",
       [](V& v) {
         return aclnnTransQuantParamV2GetWorkspaceSize(v.tensor("scale"), v.tensor("offset"), v.tensor("y"), &v.size,
                                                       &v.executor);
       },
       aclnnTransQuantParamV2},
      {"aclnnTransQuantParamV3",
       [](V& v) {
         return aclnnTransQuantParamV3GetWorkspaceSize(v.tensor("scale"), v.tensor("offset"), v.integer("round"),
                                                       v.tensor("y"), &v.size, &v.executor);
       },
       aclnnTransQuantParamV3},
  };
}

std::vector<Form> elementwise() {
  return {
      {"aclnnCast",
       [](V& v) {
         return aclnnCastGetWorkspaceSize(v.tensor("x"), static_cast<aclDataType>(v.integer("dtype")), v.tensor("y"),
                                          &v.size, &v.executor);
       },
       aclnnCast},
      {"aclnnSilu", [](V& v) { return aclnnSiluGetWorkspaceSize(v.tensor("x"), v.tensor("y"), &v.size, &v.executor); },
       aclnnSilu},
      {"aclnnGelu", [](V& v) { return aclnnGeluGetWorkspaceSize(v.tensor("x"), v.tensor("y"), &v.size, &v.executor); },
       aclnnGelu},
      {"aclnnSwiGlu",
       [](V& v) {
         return aclnnSwiGluGetWorkspaceSize(v.tensor("x"), v.integer("dim", -1), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnSwiGlu},
      {"aclnnSoftmax",
       [](V& v) {
         return aclnnSoftmaxGetWorkspaceSize(v.tensor("x"), v.integer("dim", -1), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnSoftmax},
      {"aclnnAdd",
       [](V& v) {
         return aclnnAddGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.scalar("alpha", 1), v.tensor("y"), &v.size,
                                         &v.executor);
       },
       aclnnAdd},
      {"aclnnSub",
       [](V& v) {
         return aclnnSubGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.scalar("alpha", 1), v.tensor("y"), &v.size,
                                         &v.executor);
       },
       aclnnSub},
      {"aclnnMul",
       [](V& v) { return aclnnMulGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.tensor("y"), &v.size, &v.executor); },
       aclnnMul},
      {"aclnnDiv",
       [](V& v) { return aclnnDivGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.tensor("y"), &v.size, &v.executor); },
       aclnnDiv},
      {"aclnnMuls",
       [](V& v) {
         return aclnnMulsGetWorkspaceSize(v.tensor("x"), v.scalar("alpha", 1), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnMuls},
      {"aclnnApplyRotaryPosEmb",
       [](V& v) {
         return aclnnApplyRotaryPosEmbGetWorkspaceSize(v.tensor("query"), v.tensor("key"), v.tensor("cos"),
                                                       v.tensor("sin"), v.integer("layout", 1), &v.size, &v.executor);
       },
       aclnnApplyRotaryPosEmb},
      {"aclnnApplyRotaryPosEmbV2",
       [](V& v) {
         return aclnnApplyRotaryPosEmbV2GetWorkspaceSize(v.tensor("query"), v.tensor("key"), v.tensor("cos"),
                                                         v.tensor("sin"), v.integer("layout", 1), v.word("form"),
                                                         &v.size, &v.executor);
       },
       aclnnApplyRotaryPosEmbV2},
      {"aclnnRotaryPositionEmbedding",
       [](V& v) {
         return aclnnRotaryPositionEmbeddingGetWorkspaceSize(v.tensor("query"), v.tensor("cos"), v.tensor("sin"),
                                                             v.integer("mode"), v.tensor("query_out"), &v.size,
                                                             &v.executor);
       },
       aclnnRotaryPositionEmbedding},
  };
}

std::vector<Form> float_products() {
  return {
      {"aclnnMatmul",
       [](V& v) {
         return aclnnMatmulGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.tensor("y"), 0, &v.size, &v.executor);
       },
       aclnnMatmul},
      {"aclnnDot",
       [](V& v) {
         return aclnnDotGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnDot},
      {"aclnnMm",
       [](V& v) {
         return aclnnMmGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.tensor("y"), 1, &v.size, &v.executor);
       },
       aclnnMm},
      {"aclnnBatchMatMul",
       [](V& v) {
         return aclnnBatchMatMulGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.tensor("y"), 2, &v.size, &v.executor);
       },
       aclnnBatchMatMul},
      {"aclnnMv",
       [](V& v) {
         return aclnnMvGetWorkspaceSize(v.tensor("a"), v.tensor("b"), v.tensor("y"), 3, &v.size, &v.executor);
       },
       aclnnMv},
      {"aclnnAddmm",
       [](V& v) {
         return aclnnAddmmGetWorkspaceSize(v.tensor("c"), v.tensor("a"), v.tensor("b"), v.scalar("beta", 1),
                                           v.scalar("alpha", 1), v.tensor("y"), 4, &v.size, &v.executor);
       },
       aclnnAddmm},
      {"aclnnAddmv",
       [](V& v) {
         return aclnnAddmvGetWorkspaceSize(v.tensor("c"), v.tensor("a"), v.tensor("b"), v.scalar("alpha", 1),
                                           v.scalar("beta", 1), v.tensor("y"), 0, &v.size, &v.executor);
       },
       aclnnAddmv},
      {"aclnnBaddbmm",
       [](V& v) {
         return aclnnBaddbmmGetWorkspaceSize(v.tensor("c"), v.tensor("a"), v.tensor("b"), v.scalar("beta", 1),
                                             v.scalar("alpha", 1), v.tensor("y"), 0, &v.size, &v.executor);
       },
       aclnnBaddbmm},
      {"aclnnGemm",
       [](V& v) {
         return aclnnGemmGetWorkspaceSize(
             v.tensor("a"), v.tensor("b"), v.tensor("c"), static_cast<float>(v.number("alpha", 1)),
             static_cast<float>(v.number("beta", 1)), 0, 0, v.tensor("y"), 0, &v.size, &v.executor);
       },
       aclnnGemm},
  };
}

std::vector<Form> quant_products() {
  return {
      {"aclnnQuantMatmulV2",
       [](V& v) {
         return aclnnQuantMatmulV2GetWorkspaceSize(v.tensor("x1"), v.tensor("x2"), v.tensor("bias"), v.tensor("scale"),
                                                   false, false, v.tensor("y"), &v.size, &v.executor);
       },
       aclnnQuantMatmulV2},
      {"aclnnQuantMatmulV3",
       [](V& v) {
         return aclnnQuantMatmulV3GetWorkspaceSize(v.tensor("x1"), v.tensor("x2"), v.tensor("scale"),
                                                   v.tensor("offset"), v.tensor("bias"), false, false, v.tensor("y"),
                                                   &v.size, &v.executor);
       },
       aclnnQuantMatmulV3},
      {"aclnnQuantMatmulV4",
       [](V& v) {
         return aclnnQuantMatmulV4GetWorkspaceSize(v.tensor("x1"), v.tensor("x2"), v.tensor("scale"),
                                                   v.tensor("offset"), v.tensor("token"), v.tensor("bias"), false,
                                                   false, v.tensor("y"), &v.size, &v.executor);
       },
       aclnnQuantMatmulV4},
      {"aclnnQuantMatmulV5",
       [](V& v) {
         return aclnnQuantMatmulV5GetWorkspaceSize(v.tensor("x1"), v.tensor("x2"), v.tensor("token"), v.tensor("scale"),
                                                   nullptr, nullptr, nullptr, v.tensor("offset"), v.tensor("bias"),
                                                   false, false, 0, v.tensor("y"), &v.size, &v.executor);
       },
       aclnnQuantMatmulV5},
      {"aclnnWeightQuantBatchMatmulV2",
       [](V& v) {
         return aclnnWeightQuantBatchMatmulV2GetWorkspaceSize(
             v.tensor("x"), v.tensor("weight"), v.tensor("scale"), v.tensor("offset"), nullptr, nullptr,
             v.tensor("bias"), static_cast<int>(v.integer("group")), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnWeightQuantBatchMatmulV2},
      {"aclnnWeightQuantBatchMatmulV3",
       [](V& v) {
         return aclnnWeightQuantBatchMatmulV3GetWorkspaceSize(
             v.tensor("x"), v.tensor("weight"), v.tensor("scale"), v.tensor("offset"), nullptr, nullptr,
             v.tensor("bias"), static_cast<int>(v.integer("group")), 0, v.tensor("y"), &v.size, &v.executor);
       },
       aclnnWeightQuantBatchMatmulV3},
  };
}

std::vector<Form> groups() {
  return {
      {"aclnnGroupedMatmul",
       [](V& v) {
         return aclnnGroupedMatmulGetWorkspaceSize(v.list("x"), v.list("weight"), v.list("bias"), v.list("dequant"),
                                                   nullptr, v.list("scale"), v.list("offset"), v.integers("ends"),
                                                   v.integer("split"), v.list("y"), &v.size, &v.executor);
       },
       aclnnGroupedMatmul},
      {"aclnnGroupedMatmulV2",
       [](V& v) {
         return aclnnGroupedMatmulV2GetWorkspaceSize(v.list("x"), v.list("weight"), v.list("bias"), v.list("dequant"),
                                                     nullptr, v.list("scale"), v.list("offset"), v.integers("ends"),
                                                     v.integer("split"), 0, v.list("y"), &v.size, &v.executor);
       },
       aclnnGroupedMatmulV2},
      {"aclnnGroupedMatmulV3",
       [](V& v) {
         return aclnnGroupedMatmulV3GetWorkspaceSize(v.list("x"), v.list("weight"), v.list("bias"), v.list("dequant"),
                                                     nullptr, v.list("scale"), v.list("offset"), v.tensor("group"),
                                                     v.integer("split"), 0, v.list("y"), &v.size, &v.executor);
       },
       aclnnGroupedMatmulV3},
      {"aclnnGroupedMatmulV4",
       [](V& v) {
         return aclnnGroupedMatmulV4GetWorkspaceSize(
             v.list("x"), v.list("weight"), v.list("bias"), v.list("dequant"), nullptr, v.list("scale"),
             v.list("offset"), v.list("token"), v.tensor("group"), nullptr, nullptr, nullptr, v.integer("split"), 0,
             v.integer("counts"), v.integer("act"), v.list("y"), nullptr, nullptr, &v.size, &v.executor);
       },
       aclnnGroupedMatmulV4},
      {"aclnnGroupedMatmulV5",
       [](V& v) {
         return aclnnGroupedMatmulV5GetWorkspaceSize(
             v.list("x"), v.list("weight"), v.list("bias"), v.list("dequant"), nullptr, v.list("scale"),
             v.list("offset"), v.list("token"), v.tensor("group"), nullptr, nullptr, nullptr, v.integer("split"), 0,
             v.integer("counts"), v.integer("act"), nullptr, v.list("y"), nullptr, nullptr, &v.size, &v.executor);
       },
       aclnnGroupedMatmulV5},
  };
}

std::vector<Form> routing() {
  return {
      {"aclnnMoeGatingTopKSoftmax",
       [](V& v) {
         return aclnnMoeGatingTopKSoftmaxGetWorkspaceSize(v.tensor("x"), v.tensor("finished"), v.integer("top_k"),
                                                          v.tensor("y"), v.tensor("expert"), v.tensor("row"), &v.size,
                                                          &v.executor);
       },
       aclnnMoeGatingTopKSoftmax},
      {"aclnnMoeGatingTopKSoftmaxV2",
       [](V& v) {
         return aclnnMoeGatingTopKSoftmaxV2GetWorkspaceSize(v.tensor("x"), v.tensor("finished"), v.integer("top_k"),
                                                            v.integer("normalise"), v.tensor("softmax") != nullptr,
                                                            v.tensor("y"), v.tensor("expert"), v.tensor("softmax"),
                                                            &v.size, &v.executor);
       },
       aclnnMoeGatingTopKSoftmaxV2},
      {"aclnnMoeInitRouting",
       [](V& v) {
         return aclnnMoeInitRoutingGetWorkspaceSize(v.tensor("x"), v.tensor("row"), v.tensor("expert"),
                                                    v.integer("active"), v.tensor("expanded_x"), v.tensor("place"),
                                                    v.tensor("sorted_expert"), &v.size, &v.executor);
       },
       aclnnMoeInitRouting},
      {"aclnnMoeInitRoutingV2",
       [](V& v) {
         const int64_t capacity = v.integer("capacity");
         const bool before = v.integer("before") != 0;
         return aclnnMoeInitRoutingV2GetWorkspaceSize(
             v.tensor("x"), v.tensor("expert"), 0, capacity, v.integer("expert_num"), capacity == 0 ? 0 : 1,
             v.integer("flag"), before, v.tensor("expanded_x"), v.tensor("place"),
             before ? nullptr : v.tensor("tokens"), before ? v.tensor("tokens") : nullptr, &v.size, &v.executor);
       },
       aclnnMoeInitRoutingV2},
      {"aclnnMoeComputeExpertTokens",
       [](V& v) {
         return aclnnMoeComputeExpertTokensGetWorkspaceSize(v.tensor("sorted_expert"), v.integer("experts"),
                                                            v.tensor("tokens"), &v.size, &v.executor);
       },
       aclnnMoeComputeExpertTokens},
      {"aclnnMoeFinalizeRouting",
       [](V& v) {
         return aclnnMoeFinalizeRoutingGetWorkspaceSize(v.tensor("expanded"), v.tensor("skip1"), v.tensor("skip2"),
                                                        v.tensor("bias"), v.tensor("scales"), v.tensor("place"),
                                                        v.tensor("expert"), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnMoeFinalizeRouting},
      {"aclnnMoeFinalizeRoutingV2",
       [](V& v) {
         return aclnnMoeFinalizeRoutingV2GetWorkspaceSize(
             v.tensor("expanded"), v.tensor("place"), v.tensor("skip1"), v.tensor("skip2"), v.tensor("bias"),
             v.tensor("scales"), v.tensor("expert"), v.integer("row_major") * 2 + v.integer("padded"), v.tensor("y"),
             &v.size, &v.executor);
       },
       aclnnMoeFinalizeRoutingV2},
  };
}

}  // namespace

const std::vector<Form>& forms() {
  static const std::vector<Form> kAll = [] {
    std::vector<Form> all;
    for (auto group : {norms(), quantisers(), elementwise(), float_products(), quant_products(), groups(), routing(),
                       attention_forms()}) {
      all.insert(all.end(), group.begin(), group.end());
    }
    return all;
  }();
  return kAll;
}

}  // namespace tandem::ops_test
