// SPDX-License-Identifier: Apache-2.0
// The vendor's functions of attention.
#include <aclnnop/aclnn_fused_infer_attention_score.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v2.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v3.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v4.h>
#include <aclnnop/aclnn_incre_flash_attention.h>
#include <aclnnop/aclnn_incre_flash_attention_v2.h>
#include <aclnnop/aclnn_incre_flash_attention_v3.h>
#include <aclnnop/aclnn_incre_flash_attention_v4.h>
#include <aclnnop/aclnn_prompt_flash_attention.h>
#include <aclnnop/aclnn_prompt_flash_attention_v2.h>
#include <aclnnop/aclnn_prompt_flash_attention_v3.h>

#include "tests/ops/aclnn_call.h"

namespace tandem::ops_test {
namespace {

using V = VendorOperands;

constexpr int64_t kAllTokens = 2147483647;

int64_t sparse_mode(const V& v) {
  const std::string causal = v.word("causal") == nullptr ? "" : v.word("causal");
  return causal == "left_up" ? 2 : causal == "right_down" ? 3 : 0;
}

}  // namespace

std::vector<Form> attention_forms() {
  return {
      {"aclnnIncreFlashAttention",
       [](V& v) {
         return aclnnIncreFlashAttentionGetWorkspaceSize(v.tensor("query"), v.list("key"), v.list("value"),
                                                         v.tensor("pse"), v.tensor("mask"), v.integers("lengths"),
                                                         v.integer("heads"), v.number("scale", 1), v.word("order"),
                                                         v.integer("kv_heads"), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnIncreFlashAttention},
      {"aclnnIncreFlashAttentionV2",
       [](V& v) {
         return aclnnIncreFlashAttentionV2GetWorkspaceSize(
             v.tensor("query"), v.list("key"), v.list("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"), v.tensor("y_offset"),
             v.integer("heads"), v.number("scale", 1), v.word("order"), v.integer("kv_heads"), v.tensor("y"), &v.size,
             &v.executor);
       },
       aclnnIncreFlashAttentionV2},
      {"aclnnIncreFlashAttentionV3",
       [](V& v) {
         return aclnnIncreFlashAttentionV3GetWorkspaceSize(
             v.tensor("query"), v.list("key"), v.list("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"), v.tensor("y_offset"),
             v.tensor("kv_scale"), v.tensor("kv_offset"), v.tensor("block_table"), v.integer("heads"),
             v.number("scale", 1), v.word("order"), v.integer("kv_heads"), v.integer("block_size"), 0, v.tensor("y"),
             &v.size, &v.executor);
       },
       aclnnIncreFlashAttentionV3},
      {"aclnnIncreFlashAttentionV4",
       [](V& v) {
         return aclnnIncreFlashAttentionV4GetWorkspaceSize(
             v.tensor("query"), v.list("key"), v.list("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"), v.tensor("y_offset"),
             v.tensor("kv_scale"), v.tensor("kv_offset"), v.tensor("block_table"), nullptr, v.integer("heads"),
             v.number("scale", 1), v.word("order"), v.integer("kv_heads"), v.integer("block_size"), 1, v.tensor("y"),
             &v.size, &v.executor);
       },
       aclnnIncreFlashAttentionV4},
      {"aclnnPromptFlashAttention",
       [](V& v) {
         return aclnnPromptFlashAttentionGetWorkspaceSize(
             v.tensor("query"), v.tensor("key"), v.tensor("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("query_lengths"), v.integer("heads"), v.number("scale", 1), kAllTokens, kAllTokens,
             v.word("order"), v.integer("kv_heads"), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnPromptFlashAttention},
      {"aclnnPromptFlashAttentionV2",
       [](V& v) {
         return aclnnPromptFlashAttentionV2GetWorkspaceSize(
             v.tensor("query"), v.tensor("key"), v.tensor("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("query_lengths"), v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"),
             v.tensor("y_offset"), v.integer("heads"), v.number("scale", 1), kAllTokens, kAllTokens, v.word("order"),
             v.integer("kv_heads"), sparse_mode(v), v.tensor("y"), &v.size, &v.executor);
       },
       aclnnPromptFlashAttentionV2},
      {"aclnnPromptFlashAttentionV3",
       [](V& v) {
         return aclnnPromptFlashAttentionV3GetWorkspaceSize(
             v.tensor("query"), v.tensor("key"), v.tensor("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("query_lengths"), v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"),
             v.tensor("y_offset"), v.integer("heads"), v.number("scale", 1), kAllTokens, kAllTokens, v.word("order"),
             v.integer("kv_heads"), sparse_mode(v), 0, v.tensor("y"), &v.size, &v.executor);
       },
       aclnnPromptFlashAttentionV3},
      {"aclnnFusedInferAttentionScore",
       [](V& v) {
         return aclnnFusedInferAttentionScoreGetWorkspaceSize(
             v.tensor("query"), v.list("key"), v.list("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("query_lengths"), v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"),
             v.tensor("y_offset"), v.tensor("kv_scale"), v.tensor("kv_offset"), v.tensor("block_table"), nullptr,
             nullptr, v.integer("heads"), v.number("scale", 1), kAllTokens, kAllTokens, v.word("order"),
             v.integer("kv_heads"), sparse_mode(v), 0, v.integer("block_size"), 0, false, v.tensor("y"), nullptr,
             &v.size, &v.executor);
       },
       aclnnFusedInferAttentionScore},
      {"aclnnFusedInferAttentionScoreV2",
       [](V& v) {
         return aclnnFusedInferAttentionScoreV2GetWorkspaceSize(
             v.tensor("query"), v.list("key"), v.list("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("query_lengths"), v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"),
             v.tensor("y_offset"), v.tensor("kv_scale"), v.tensor("kv_offset"), v.tensor("block_table"), nullptr,
             nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, v.integer("heads"),
             v.number("scale", 1), kAllTokens, kAllTokens, v.word("order"), v.integer("kv_heads"), sparse_mode(v), 0,
             v.integer("block_size"), 0, false, 0, 0, v.tensor("y"), nullptr, &v.size, &v.executor);
       },
       aclnnFusedInferAttentionScoreV2},
      {"aclnnFusedInferAttentionScoreV3",
       [](V& v) {
         return aclnnFusedInferAttentionScoreV3GetWorkspaceSize(
             v.tensor("query"), v.list("key"), v.list("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("query_lengths"), v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"),
             v.tensor("y_offset"), v.tensor("kv_scale"), v.tensor("kv_offset"), v.tensor("block_table"), nullptr,
             nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
             v.integer("heads"), v.number("scale", 1), kAllTokens, kAllTokens, v.word("order"), v.integer("kv_heads"),
             sparse_mode(v), 0, v.integer("block_size"), 0, false, 0, 0, v.tensor("y"), nullptr, &v.size, &v.executor);
       },
       aclnnFusedInferAttentionScoreV3},
      {"aclnnFusedInferAttentionScoreV4",
       [](V& v) {
         return aclnnFusedInferAttentionScoreV4GetWorkspaceSize(
             v.tensor("query"), v.list("key"), v.list("value"), v.tensor("pse"), v.tensor("mask"),
             v.integers("query_lengths"), v.integers("lengths"), nullptr, nullptr, nullptr, v.tensor("y_scale"),
             v.tensor("y_offset"), v.tensor("kv_scale"), v.tensor("kv_offset"), v.tensor("block_table"), nullptr,
             nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
             nullptr, v.integer("heads"), v.number("scale", 1), kAllTokens, kAllTokens, v.word("order"),
             v.integer("kv_heads"), sparse_mode(v), 0, v.integer("block_size"), 0, false, 0, 0, 0, v.tensor("y"),
             nullptr, &v.size, &v.executor);
       },
       aclnnFusedInferAttentionScoreV4},
  };
}

}  // namespace tandem::ops_test
