// SPDX-License-Identifier: Apache-2.0
// Attention of prompts: translation to fused_infer_attention.
#include <algorithm>

#include "aclnnop/aclnn_fused_infer_attention_score.h"
#include "aclnnop/aclnn_fused_infer_attention_score_v2.h"
#include "aclnnop/aclnn_fused_infer_attention_score_v3.h"
#include "aclnnop/aclnn_fused_infer_attention_score_v4.h"
#include "aclnnop/aclnn_prompt_flash_attention.h"
#include "aclnnop/aclnn_prompt_flash_attention_v2.h"
#include "aclnnop/aclnn_prompt_flash_attention_v3.h"
#include "front/aclnn/translate.h"
#include "tandem/ops/attention.h"

namespace tandem::front {
namespace {

struct PromptOperands {
  const aclTensor *query, *pse, *mask, *y_scale, *y_offset, *kv_scale, *kv_offset, *blocks, *y;
};

void bind_prompt(Call<FusedInferAttention>& call, const PromptOperands& given) {
  call.in("query", call.op.query, given.query).in("pseShift", call.op.pse, given.pse);
  call.in("attenMask", call.op.mask, given.mask);
  call.in("quantScale2", call.op.y_scale, given.y_scale).in("quantOffset2", call.op.y_offset, given.y_offset);
  call.in("antiquantScale", call.op.kv_scale, given.kv_scale).in("antiquantOffset", call.op.kv_offset, given.kv_offset);
  call.in("blockTable", call.op.block_table, given.blocks).out("attentionOut", call.op.y, given.y);
  if (given.query != nullptr) call.check.dtype("query", call.op.query, {DType::f16, DType::bf16});
}

struct PromptNumbers {
  int64_t heads, kv_heads, block_size, before, after, sparse;
  double scale;
  const char* layout;
};

// Positions a sequence can have at most.
int64_t most_positions(const FusedInferAttention& op) {
  int64_t most = 0;
  for (const int64_t length : op.lengths) most = std::max(most, length);
  if (!op.lengths.empty()) return most;
  const int axis = op.order == HeadOrder::bnsd ? 2 : op.order == HeadOrder::tnd ? 0 : 1;
  for (const TensorView& key : op.key) most = std::max(most, key.rank > axis ? key.dim(axis) : 0);
  return most;
}

// 0 and 1: what attenMask says, and of 0 at most `after` tokens behind the own one, of which 0 and all are offered. 2
// and 3: causal, aligned to the first or the last position, attenMask is the vendor's triangle. 4: a band, here without
// a lower end.
void set_mask(Call<FusedInferAttention>& call, const PromptNumbers& numbers) {
  auto& op = call.op;
  const int64_t all = most_positions(op);  // a band this wide is all of it
  const bool masked = op.mask.present(), band = numbers.sparse == 4 || (numbers.sparse == 0 && masked);
  call.check.range("sparseMode", numbers.sparse, 0, 4);
  call.check.that(!band || numbers.before >= all, "preTokens is {}, at least {} wanted", numbers.before, all);
  call.check.that(!band || numbers.after == 0 || (numbers.sparse == 0 && numbers.after >= all),
                  "nextTokens is {}, 0 or at least {} wanted", numbers.after, all);
  if (numbers.sparse == 2 || (numbers.sparse == 0 && masked && numbers.after == 0)) op.causal = Causal::left_up;
  if (numbers.sparse >= 3) op.causal = Causal::right_down;
  if (numbers.sparse >= 2) op.mask = {};
}

void set_prompt(Call<FusedInferAttention>& call, const aclIntArray* lengths, const aclIntArray* kv_lengths,
                const PromptNumbers& numbers) {
  const std::string_view layout = text_of(numbers.layout, "BSH");
  call.check.that(layout == "BSH" || layout == "BSND" || layout == "BNSD" || layout == "TND",
                  "inputLayout is \"{}\", BSH, BSND, BNSD or TND wanted", layout);
  call.op.order = layout == "BSH"    ? HeadOrder::bsh
                  : layout == "BSND" ? HeadOrder::bsnd
                  : layout == "BNSD" ? HeadOrder::bnsd
                                     : HeadOrder::tnd;
  if (lengths != nullptr) call.op.query_lengths = lengths->values;
  if (kv_lengths != nullptr) call.op.lengths = kv_lengths->values;
  call.op.heads = numbers.heads;
  call.op.kv_heads = numbers.kv_heads;
  call.op.block_size = call.op.block_table.present() ? numbers.block_size : 0;
  call.op.scale = numbers.scale;
  call.check.that(!call.op.block_table.present() || numbers.block_size > 0,
                  "blockSize is {}, a positive number wanted with blockTable", numbers.block_size);
  set_mask(call, numbers);
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnPromptFlashAttentionGetWorkspaceSize(const aclTensor* query, const aclTensor* key,
                                                      const aclTensor* value, const aclTensor* pseShift,
                                                      const aclTensor* attenMask, const aclIntArray* actualSeqLengths,
                                                      int64_t numHeads, double scaleValue, int64_t preTokens,
                                                      int64_t nextTokens, const char* inputLayout,
                                                      int64_t numKeyValueHeads, const aclTensor* attentionOut,
                                                      uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::FusedInferAttention>("aclnnPromptFlashAttention", workspaceSize, executor, [&](auto& call) {
    call.op.key.resize(1), call.op.value.resize(1);
    call.in("key", call.op.key[0], key).in("value", call.op.value[0], value);
    front::bind_prompt(call, {query, pseShift, attenMask, nullptr, nullptr, nullptr, nullptr, nullptr, attentionOut});
    front::set_prompt(call, actualSeqLengths, nullptr,
                      {numHeads, numKeyValueHeads, 0, preTokens, nextTokens, 0, scaleValue, inputLayout});
  });
}

aclnnStatus aclnnPromptFlashAttention(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                      aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnPromptFlashAttentionV2GetWorkspaceSize(
    const aclTensor* query, const aclTensor* key, const aclTensor* value, const aclTensor* pseShift,
    const aclTensor* attenMask, const aclIntArray* actualSeqLengths, const aclIntArray* actualSeqLengthsKv,
    const aclTensor* deqScale1, const aclTensor* quantScale1, const aclTensor* deqScale2, const aclTensor* quantScale2,
    const aclTensor* quantOffset2, int64_t numHeads, double scaleValue, int64_t preTokens, int64_t nextTokens,
    const char* inputLayout, int64_t numKeyValueHeads, int64_t sparseMode, const aclTensor* attentionOut,
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::FusedInferAttention>(
      "aclnnPromptFlashAttentionV2", workspaceSize, executor, [&](auto& call) {
        call.op.key.resize(1), call.op.value.resize(1);
        call.in("key", call.op.key[0], key).in("value", call.op.value[0], value);
        front::bind_prompt(
            call, {query, pseShift, attenMask, quantScale2, quantOffset2, nullptr, nullptr, nullptr, attentionOut});
        call.absent("deqScale1", deqScale1).absent("quantScale1", quantScale1).absent("deqScale2", deqScale2);
        front::set_prompt(call, actualSeqLengths, actualSeqLengthsKv,
                          {numHeads, numKeyValueHeads, 0, preTokens, nextTokens, sparseMode, scaleValue, inputLayout});
      });
}

aclnnStatus aclnnPromptFlashAttentionV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnPromptFlashAttentionV3GetWorkspaceSize(
    const aclTensor* query, const aclTensor* key, const aclTensor* value, const aclTensor* pseShift,
    const aclTensor* attenMask, const aclIntArray* actualSeqLengths, const aclIntArray* actualSeqLengthsKv,
    const aclTensor* deqScale1, const aclTensor* quantScale1, const aclTensor* deqScale2, const aclTensor* quantScale2,
    const aclTensor* quantOffset2, int64_t numHeads, double scaleValue, int64_t preTokens, int64_t nextTokens,
    const char* inputLayout, int64_t numKeyValueHeads, int64_t sparseMode, int64_t innerPrecise,
    const aclTensor* attentionOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::FusedInferAttention>(
      "aclnnPromptFlashAttentionV3", workspaceSize, executor, [&](auto& call) {
        call.op.key.resize(1), call.op.value.resize(1);
        call.in("key", call.op.key[0], key).in("value", call.op.value[0], value);
        front::bind_prompt(
            call, {query, pseShift, attenMask, quantScale2, quantOffset2, nullptr, nullptr, nullptr, attentionOut});
        call.absent("deqScale1", deqScale1).absent("quantScale1", quantScale1).absent("deqScale2", deqScale2);
        front::set_prompt(call, actualSeqLengths, actualSeqLengthsKv,
                          {numHeads, numKeyValueHeads, 0, preTokens, nextTokens, sparseMode, scaleValue, inputLayout});
        call.check.range("innerPrecise", innerPrecise, 0, 4);
      });
}

aclnnStatus aclnnPromptFlashAttentionV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnFusedInferAttentionScoreGetWorkspaceSize(
    const aclTensor* query, const aclTensorList* key, const aclTensorList* value, const aclTensor* pseShift,
    const aclTensor* attenMask, const aclIntArray* actualSeqLengths, const aclIntArray* actualSeqLengthsKv,
    const aclTensor* deqScale1, const aclTensor* quantScale1, const aclTensor* deqScale2, const aclTensor* quantScale2,
    const aclTensor* quantOffset2, const aclTensor* antiquantScale, const aclTensor* antiquantOffset,
    const aclTensor* blockTable, const aclTensor* queryPaddingSize, const aclTensor* kvPaddingSize, int64_t numHeads,
    double scaleValue, int64_t preTokens, int64_t nextTokens, const char* inputLayout, int64_t numKeyValueHeads,
    int64_t sparseMode, int64_t innerPrecise, int64_t blockSize, int64_t antiquantMode, bool softmaxLseFlag,
    const aclTensor* attentionOut, const aclTensor*, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::FusedInferAttention>(
      "aclnnFusedInferAttentionScore", workspaceSize, executor, [&](auto& call) {
        call.in("key", call.op.key, key).in("value", call.op.value, value);
        front::bind_prompt(call, {query, pseShift, attenMask, quantScale2, quantOffset2, antiquantScale,
                                  antiquantOffset, blockTable, attentionOut});
        call.absent("deqScale1", deqScale1)
            .absent("quantScale1", quantScale1)
            .absent("deqScale2", deqScale2)
            .absent("queryPaddingSize", queryPaddingSize)
            .absent("kvPaddingSize", kvPaddingSize);
        front::set_prompt(
            call, actualSeqLengths, actualSeqLengthsKv,
            {numHeads, numKeyValueHeads, blockSize, preTokens, nextTokens, sparseMode, scaleValue, inputLayout});
        call.check.range("innerPrecise", innerPrecise, 0, 4);
        call.check.that(!softmaxLseFlag, "softmaxLseFlag is true, false wanted: the log of the sum is not offered");
        call.check.range("antiquantMode", antiquantMode, 0, 0);
      });
}

aclnnStatus aclnnFusedInferAttentionScore(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnFusedInferAttentionScoreV2GetWorkspaceSize(
    const aclTensor* query, const aclTensorList* key, const aclTensorList* value, const aclTensor* pseShiftOptional,
    const aclTensor* attenMaskOptional, const aclIntArray* actualSeqLengthsOptional,
    const aclIntArray* actualSeqLengthsKvOptional, const aclTensor* deqScale1Optional,
    const aclTensor* quantScale1Optional, const aclTensor* deqScale2Optional, const aclTensor* quantScale2Optional,
    const aclTensor* quantOffset2Optional, const aclTensor* antiquantScaleOptional,
    const aclTensor* antiquantOffsetOptional, const aclTensor* blockTableOptional,
    const aclTensor* queryPaddingSizeOptional, const aclTensor* kvPaddingSizeOptional,
    const aclTensor* keyAntiquantScaleOptional, const aclTensor* keyAntiquantOffsetOptional,
    const aclTensor* valueAntiquantScaleOptional, const aclTensor* valueAntiquantOffsetOptional,
    const aclTensor* keySharedPrefixOptional, const aclTensor* valueSharedPrefixOptional,
    const aclIntArray* actualSharedPrefixLenOptional, int64_t numHeads, double scaleValue, int64_t preTokens,
    int64_t nextTokens, const char* inputLayout, int64_t numKeyValueHeads, int64_t sparseMode, int64_t innerPrecise,
    int64_t blockSize, int64_t antiquantMode, bool softmaxLseFlag, int64_t keyAntiquantMode, int64_t valueAntiquantMode,
    const aclTensor* attentionOut, const aclTensor*, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::FusedInferAttention>(
      "aclnnFusedInferAttentionScoreV2", workspaceSize, executor, [&](auto& call) {
        call.in("key", call.op.key, key).in("value", call.op.value, value);
        front::bind_prompt(call, {query, pseShiftOptional, attenMaskOptional, quantScale2Optional, quantOffset2Optional,
                                  antiquantScaleOptional, antiquantOffsetOptional, blockTableOptional, attentionOut});
        call.absent("deqScale1", deqScale1Optional)
            .absent("quantScale1", quantScale1Optional)
            .absent("deqScale2", deqScale2Optional)
            .absent("queryPaddingSize", queryPaddingSizeOptional)
            .absent("kvPaddingSize", kvPaddingSizeOptional)
            .absent("keyAntiquantScale", keyAntiquantScaleOptional)
            .absent("keyAntiquantOffset", keyAntiquantOffsetOptional)
            .absent("valueAntiquantScale", valueAntiquantScaleOptional)
            .absent("valueAntiquantOffset", valueAntiquantOffsetOptional)
            .absent("keySharedPrefix", keySharedPrefixOptional)
            .absent("valueSharedPrefix", valueSharedPrefixOptional)
            .absent("actualSharedPrefixLen", actualSharedPrefixLenOptional);
        front::set_prompt(
            call, actualSeqLengthsOptional, actualSeqLengthsKvOptional,
            {numHeads, numKeyValueHeads, blockSize, preTokens, nextTokens, sparseMode, scaleValue, inputLayout});
        call.check.range("innerPrecise", innerPrecise, 0, 4);
        call.check.that(!softmaxLseFlag, "softmaxLseFlag is true, false wanted: the log of the sum is not offered");
        call.check.range("antiquantMode", antiquantMode, 0, 0);
        call.check.range("keyAntiquantMode", keyAntiquantMode, 0, 0);
        call.check.range("valueAntiquantMode", valueAntiquantMode, 0, 0);
      });
}

aclnnStatus aclnnFusedInferAttentionScoreV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                            aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnFusedInferAttentionScoreV3GetWorkspaceSize(
    const aclTensor* query, const aclTensorList* key, const aclTensorList* value, const aclTensor* pseShiftOptional,
    const aclTensor* attenMaskOptional, const aclIntArray* actualSeqLengthsOptional,
    const aclIntArray* actualSeqLengthsKvOptional, const aclTensor* deqScale1Optional,
    const aclTensor* quantScale1Optional, const aclTensor* deqScale2Optional, const aclTensor* quantScale2Optional,
    const aclTensor* quantOffset2Optional, const aclTensor* antiquantScaleOptional,
    const aclTensor* antiquantOffsetOptional, const aclTensor* blockTableOptional,
    const aclTensor* queryPaddingSizeOptional, const aclTensor* kvPaddingSizeOptional,
    const aclTensor* keyAntiquantScaleOptional, const aclTensor* keyAntiquantOffsetOptional,
    const aclTensor* valueAntiquantScaleOptional, const aclTensor* valueAntiquantOffsetOptional,
    const aclTensor* keySharedPrefixOptional, const aclTensor* valueSharedPrefixOptional,
    const aclIntArray* actualSharedPrefixLenOptional, const aclTensor* queryRopeOptional,
    const aclTensor* keyRopeOptional, const aclTensor* keyRopeAntiquantScaleOptional, int64_t numHeads,
    double scaleValue, int64_t preTokens, int64_t nextTokens, const char* inputLayout, int64_t numKeyValueHeads,
    int64_t sparseMode, int64_t innerPrecise, int64_t blockSize, int64_t antiquantMode, bool softmaxLseFlag,
    int64_t keyAntiquantMode, int64_t valueAntiquantMode, const aclTensor* attentionOut, const aclTensor*,
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::FusedInferAttention>(
      "aclnnFusedInferAttentionScoreV3", workspaceSize, executor, [&](auto& call) {
        call.in("key", call.op.key, key).in("value", call.op.value, value);
        front::bind_prompt(call, {query, pseShiftOptional, attenMaskOptional, quantScale2Optional, quantOffset2Optional,
                                  antiquantScaleOptional, antiquantOffsetOptional, blockTableOptional, attentionOut});
        call.absent("deqScale1", deqScale1Optional)
            .absent("quantScale1", quantScale1Optional)
            .absent("deqScale2", deqScale2Optional)
            .absent("queryPaddingSize", queryPaddingSizeOptional)
            .absent("kvPaddingSize", kvPaddingSizeOptional)
            .absent("keyAntiquantScale", keyAntiquantScaleOptional)
            .absent("keyAntiquantOffset", keyAntiquantOffsetOptional)
            .absent("valueAntiquantScale", valueAntiquantScaleOptional)
            .absent("valueAntiquantOffset", valueAntiquantOffsetOptional)
            .absent("keySharedPrefix", keySharedPrefixOptional)
            .absent("valueSharedPrefix", valueSharedPrefixOptional)
            .absent("actualSharedPrefixLen", actualSharedPrefixLenOptional)
            .absent("queryRope", queryRopeOptional)
            .absent("keyRope", keyRopeOptional)
            .absent("keyRopeAntiquantScale", keyRopeAntiquantScaleOptional);
        front::set_prompt(
            call, actualSeqLengthsOptional, actualSeqLengthsKvOptional,
            {numHeads, numKeyValueHeads, blockSize, preTokens, nextTokens, sparseMode, scaleValue, inputLayout});
        call.check.range("innerPrecise", innerPrecise, 0, 4);
        call.check.that(!softmaxLseFlag, "softmaxLseFlag is true, false wanted: the log of the sum is not offered");
        call.check.range("antiquantMode", antiquantMode, 0, 0);
        call.check.range("keyAntiquantMode", keyAntiquantMode, 0, 0);
        call.check.range("valueAntiquantMode", valueAntiquantMode, 0, 0);
      });
}

aclnnStatus aclnnFusedInferAttentionScoreV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                            aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnFusedInferAttentionScoreV4GetWorkspaceSize(
    const aclTensor* query, const aclTensorList* key, const aclTensorList* value, const aclTensor* pseShiftOptional,
    const aclTensor* attenMaskOptional, const aclIntArray* actualSeqLengthsOptional,
    const aclIntArray* actualSeqLengthsKvOptional, const aclTensor* deqScale1Optional,
    const aclTensor* quantScale1Optional, const aclTensor* deqScale2Optional, const aclTensor* quantScale2Optional,
    const aclTensor* quantOffset2Optional, const aclTensor* antiquantScaleOptional,
    const aclTensor* antiquantOffsetOptional, const aclTensor* blockTableOptional,
    const aclTensor* queryPaddingSizeOptional, const aclTensor* kvPaddingSizeOptional,
    const aclTensor* keyAntiquantScaleOptional, const aclTensor* keyAntiquantOffsetOptional,
    const aclTensor* valueAntiquantScaleOptional, const aclTensor* valueAntiquantOffsetOptional,
    const aclTensor* keySharedPrefixOptional, const aclTensor* valueSharedPrefixOptional,
    const aclIntArray* actualSharedPrefixLenOptional, const aclTensor* queryRopeOptional,
    const aclTensor* keyRopeOptional, const aclTensor* keyRopeAntiquantScaleOptional,
    const aclTensor* dequantScaleQueryOptional, const aclTensor* learnableSinkOptional, int64_t numHeads,
    double scaleValue, int64_t preTokens, int64_t nextTokens, const char* inputLayout, int64_t numKeyValueHeads,
    int64_t sparseMode, int64_t innerPrecise, int64_t blockSize, int64_t antiquantMode, bool softmaxLseFlag,
    int64_t keyAntiquantMode, int64_t valueAntiquantMode, int64_t queryQuantMode, const aclTensor* attentionOut,
    const aclTensor*, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::FusedInferAttention>(
      "aclnnFusedInferAttentionScoreV4", workspaceSize, executor, [&](auto& call) {
        call.in("key", call.op.key, key).in("value", call.op.value, value);
        front::bind_prompt(call, {query, pseShiftOptional, attenMaskOptional, quantScale2Optional, quantOffset2Optional,
                                  antiquantScaleOptional, antiquantOffsetOptional, blockTableOptional, attentionOut});
        call.absent("deqScale1", deqScale1Optional)
            .absent("quantScale1", quantScale1Optional)
            .absent("deqScale2", deqScale2Optional)
            .absent("queryPaddingSize", queryPaddingSizeOptional)
            .absent("kvPaddingSize", kvPaddingSizeOptional)
            .absent("keyAntiquantScale", keyAntiquantScaleOptional)
            .absent("keyAntiquantOffset", keyAntiquantOffsetOptional)
            .absent("valueAntiquantScale", valueAntiquantScaleOptional)
            .absent("valueAntiquantOffset", valueAntiquantOffsetOptional)
            .absent("keySharedPrefix", keySharedPrefixOptional)
            .absent("valueSharedPrefix", valueSharedPrefixOptional)
            .absent("actualSharedPrefixLen", actualSharedPrefixLenOptional)
            .absent("queryRope", queryRopeOptional)
            .absent("keyRope", keyRopeOptional)
            .absent("keyRopeAntiquantScale", keyRopeAntiquantScaleOptional)
            .absent("dequantScaleQuery", dequantScaleQueryOptional)
            .absent("learnableSink", learnableSinkOptional);
        front::set_prompt(
            call, actualSeqLengthsOptional, actualSeqLengthsKvOptional,
            {numHeads, numKeyValueHeads, blockSize, preTokens, nextTokens, sparseMode, scaleValue, inputLayout});
        call.check.range("innerPrecise", innerPrecise, 0, 4);
        call.check.that(!softmaxLseFlag, "softmaxLseFlag is true, false wanted: the log of the sum is not offered");
        call.check.range("antiquantMode", antiquantMode, 0, 0);
        call.check.range("keyAntiquantMode", keyAntiquantMode, 0, 0);
        call.check.range("valueAntiquantMode", valueAntiquantMode, 0, 0);
        call.check.range("queryQuantMode", queryQuantMode, 0, 0);
      });
}

aclnnStatus aclnnFusedInferAttentionScoreV4(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                            aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
