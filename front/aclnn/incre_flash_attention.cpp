// SPDX-License-Identifier: Apache-2.0
// Decode attention: translation to incre_flash_attention.
#include "aclnnop/aclnn_incre_flash_attention.h"
#include "aclnnop/aclnn_incre_flash_attention_v2.h"
#include "aclnnop/aclnn_incre_flash_attention_v3.h"
#include "aclnnop/aclnn_incre_flash_attention_v4.h"
#include "front/aclnn/translate.h"
#include "tandem/ops/attention.h"

namespace tandem::front {
namespace {

struct AttentionOperands {
  const aclTensor* query;
  const aclTensorList *key, *value;
  const aclTensor *pse, *mask, *y_scale, *y_offset, *kv_scale, *kv_offset, *blocks, *y;
};

void bind_attention(Call<IncreFlashAttention>& call, const AttentionOperands& given) {
  call.in("query", call.op.query, given.query)
      .in("key", call.op.key, given.key)
      .in("value", call.op.value, given.value);
  call.in("pseShift", call.op.pse, given.pse).in("attenMask", call.op.mask, given.mask);
  call.in("quantScale2", call.op.y_scale, given.y_scale).in("quantOffset2", call.op.y_offset, given.y_offset);
  call.in("antiquantScale", call.op.kv_scale, given.kv_scale).in("antiquantOffset", call.op.kv_offset, given.kv_offset);
  call.in("blocktable", call.op.block_table, given.blocks).out("attentionOut", call.op.y, given.y);
  if (given.query != nullptr) call.check.dtype("query", call.op.query, {DType::f16, DType::bf16});
}

struct AttentionNumbers {
  int64_t heads, kv_heads, block_size;
  double scale;
  const char* layout;
};

// The vendor's caches come in blocks of 16 to 512 positions, of 32 for int8.
void check_blocks(Call<IncreFlashAttention>& call, int64_t block_size) {
  constexpr int64_t kMost = 512;
  const bool narrow = !call.op.key.empty() && call.op.key.front().dtype == DType::i8;
  const int64_t step = narrow ? 32 : 16;
  call.check.that(block_size > 0, "blockSize is {}, a positive number wanted with blocktable", block_size);
  call.check.that(!strict() || (block_size <= kMost && block_size % step == 0),
                  "blockSize is {}, a multiple of {} up to {} wanted", block_size, step, kMost);
}

void set_attention(Call<IncreFlashAttention>& call, const aclIntArray* lengths, const AttentionNumbers& numbers) {
  const std::string_view layout = text_of(numbers.layout, "BSH");
  call.check.that(layout == "BSH" || layout == "BSND" || layout == "BNSD",
                  "inputLayout is \"{}\", BSH, BSND or BNSD wanted", layout);
  call.op.order = layout == "BSH" ? HeadOrder::bsh : layout == "BSND" ? HeadOrder::bsnd : HeadOrder::bnsd;
  if (lengths != nullptr) call.op.lengths = lengths->values;
  if (call.op.block_table.present()) check_blocks(call, numbers.block_size);
  call.op.heads = numbers.heads;
  call.op.kv_heads = numbers.kv_heads;
  call.op.block_size = call.op.block_table.present() ? numbers.block_size : 0;
  call.op.scale = numbers.scale;
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnIncreFlashAttentionGetWorkspaceSize(const aclTensor* query, const aclTensorList* key,
                                                     const aclTensorList* value, const aclTensor* pseShift,
                                                     const aclTensor* attenMask, const aclIntArray* actualSeqLengths,
                                                     int64_t numHeads, double scaleValue, const char* inputLayout,
                                                     int64_t numKeyValueHeads, const aclTensor* attentionOut,
                                                     uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::IncreFlashAttention>("aclnnIncreFlashAttention", workspaceSize, executor, [&](auto& call) {
    front::bind_attention(
        call, {query, key, value, pseShift, attenMask, nullptr, nullptr, nullptr, nullptr, nullptr, attentionOut});
    front::set_attention(call, actualSeqLengths, {numHeads, numKeyValueHeads, 0, scaleValue, inputLayout});
  });
}

aclnnStatus aclnnIncreFlashAttention(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                     aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnIncreFlashAttentionV2GetWorkspaceSize(
    const aclTensor* query, const aclTensorList* key, const aclTensorList* value, const aclTensor* pseShift,
    const aclTensor* attenMask, const aclIntArray* actualSeqLengths, const aclTensor* dequantScale1,
    const aclTensor* quantScale1, const aclTensor* dequantScale2, const aclTensor* quantScale2,
    const aclTensor* quantOffset2, int64_t numHeads, double scaleValue, const char* inputLayout,
    int64_t numKeyValueHeads, const aclTensor* attentionOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::IncreFlashAttention>("aclnnIncreFlashAttentionV2", workspaceSize, executor, [&](auto& call) {
    front::bind_attention(call, {query, key, value, pseShift, attenMask, quantScale2, quantOffset2, nullptr, nullptr,
                                 nullptr, attentionOut});
    call.absent("dequantScale1", dequantScale1)
        .absent("quantScale1", quantScale1)
        .absent("dequantScale2", dequantScale2);
    front::set_attention(call, actualSeqLengths, {numHeads, numKeyValueHeads, 0, scaleValue, inputLayout});
  });
}

aclnnStatus aclnnIncreFlashAttentionV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                       aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnIncreFlashAttentionV3GetWorkspaceSize(
    const aclTensor* query, const aclTensorList* key, const aclTensorList* value, const aclTensor* pseShift,
    const aclTensor* attenMask, const aclIntArray* actualSeqLengths, const aclTensor* dequantScale1,
    const aclTensor* quantScale1, const aclTensor* dequantScale2, const aclTensor* quantScale2,
    const aclTensor* quantOffset2, const aclTensor* antiquantScale, const aclTensor* antiquantOffset,
    const aclTensor* blocktable, int64_t numHeads, double scaleValue, const char* inputLayout, int64_t numKeyValueHeads,
    int64_t blockSize, int64_t innerPrecise, const aclTensor* attentionOut, uint64_t* workspaceSize,
    aclOpExecutor** executor) {
  return translate<tandem::IncreFlashAttention>("aclnnIncreFlashAttentionV3", workspaceSize, executor, [&](auto& call) {
    front::bind_attention(call, {query, key, value, pseShift, attenMask, quantScale2, quantOffset2, antiquantScale,
                                 antiquantOffset, blocktable, attentionOut});
    call.absent("dequantScale1", dequantScale1)
        .absent("quantScale1", quantScale1)
        .absent("dequantScale2", dequantScale2);
    front::set_attention(call, actualSeqLengths, {numHeads, numKeyValueHeads, blockSize, scaleValue, inputLayout});
    call.check.range("innerPrecise", innerPrecise, 0, 1);
  });
}

aclnnStatus aclnnIncreFlashAttentionV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                       aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnIncreFlashAttentionV4GetWorkspaceSize(
    const aclTensor* query, const aclTensorList* key, const aclTensorList* value, const aclTensor* pseShift,
    const aclTensor* attenMask, const aclIntArray* actualSeqLengths, const aclTensor* dequantScale1,
    const aclTensor* quantScale1, const aclTensor* dequantScale2, const aclTensor* quantScale2,
    const aclTensor* quantOffset2, const aclTensor* antiquantScale, const aclTensor* antiquantOffset,
    const aclTensor* blocktable, const aclTensor* kvPaddingSize, int64_t numHeads, double scaleValue,
    const char* inputLayout, int64_t numKeyValueHeads, int64_t blockSize, int64_t innerPrecise,
    const aclTensor* attentionOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::IncreFlashAttention>("aclnnIncreFlashAttentionV4", workspaceSize, executor, [&](auto& call) {
    front::bind_attention(call, {query, key, value, pseShift, attenMask, quantScale2, quantOffset2, antiquantScale,
                                 antiquantOffset, blocktable, attentionOut});
    call.absent("dequantScale1", dequantScale1)
        .absent("quantScale1", quantScale1)
        .absent("dequantScale2", dequantScale2);
    call.absent("kvPaddingSize", kvPaddingSize);
    front::set_attention(call, actualSeqLengths, {numHeads, numKeyValueHeads, blockSize, scaleValue, inputLayout});
    call.check.range("innerPrecise", innerPrecise, 0, 1);
  });
}

aclnnStatus aclnnIncreFlashAttentionV4(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                       aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
