// SPDX-License-Identifier: Apache-2.0
// Keys and values into their caches: translation to reshape_and_cache.
#include "aclnnop/aclnn_scatter_pa_kv_cache.h"
#include "front/aclnn/chain.h"
#include "tandem/ops/attention.h"

namespace tandem::front {
namespace {

constexpr int64_t kColumns = 16;

// (blocks, heads * d / 16, block, 16) looked at as (blocks, block, heads * d / 16, 16).
TensorView rows_of_blocks(const TensorView& cache) { return permuted(cache, {0, 2, 1, 3}); }

// (tokens, heads, d) looked at as (tokens, heads * d / 16, 16).
void split_rows(Check& check, std::string_view name, TensorView& rows, const TensorView& cache) {
  check.rank(name, rows, 3, 3);
  if (check.failed()) return;
  const int64_t n = rows.dim(1) * rows.dim(2);
  check.that(rows.contiguous() && n % kColumns == 0 && n / kColumns == cache.dim(1),
             "{} is {}, dense rows of {} * {} wanted (PA_NZ)", name, rows.describe(), cache.dim(1), kColumns);
  if (!check.failed()) rows = reshaped(rows, {rows.dim(0), n / kColumns, kColumns});
}

void look_at_blocks(Call<ReshapeAndCache>& call) {
  call.check.rank("keyCacheRef", call.op.key_cache, 4, 4).rank("valueCacheRef", call.op.value_cache, 4, 4);
  if (call.check.failed()) return;
  call.check.that(call.op.key_cache.dim(3) == kColumns && call.op.value_cache.dim(3) == kColumns,
                  "keyCacheRef is {}, 16 columns wanted (PA_NZ)", call.op.key_cache.describe());
  split_rows(call.check, "key", call.op.key, call.op.key_cache);
  split_rows(call.check, "value", call.op.value, call.op.value_cache);
  call.op.key_cache = rows_of_blocks(call.op.key_cache);
  call.op.value_cache = rows_of_blocks(call.op.value_cache);
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnScatterPaKvCacheGetWorkspaceSize(const aclTensor* key, aclTensor* keyCacheRef,
                                                  const aclTensor* slotMapping, const aclTensor* value,
                                                  aclTensor* valueCacheRef, const aclTensor* compressLensOptional,
                                                  const aclTensor* compressSeqOffsetOptional,
                                                  const aclTensor* seqLensOptional, char* cacheModeOptional,
                                                  char* scatterModeOptional, const aclIntArray* stridesOptional,
                                                  const aclIntArray* offsetsOptional, uint64_t* workspaceSize,
                                                  aclOpExecutor** executor) {
  return translate<tandem::ReshapeAndCache>("aclnnScatterPaKvCache", workspaceSize, executor, [&](auto& call) {
    call.need("key", call.op.key, key).need("value", call.op.value, value).in("slotMapping", call.op.slot, slotMapping);
    call.check.present("keyCacheRef", keyCacheRef != nullptr).present("valueCacheRef", valueCacheRef != nullptr);
    const bool packed = keyCacheRef != nullptr && keyCacheRef->format == ACL_FORMAT_FRACTAL_NZ;
    if (packed) {
      front::bind(call.outputs, call.op.key_cache, keyCacheRef);
      front::bind(call.outputs, call.op.value_cache, valueCacheRef);
    } else {
      call.out("keyCacheRef", call.op.key_cache, keyCacheRef).out("valueCacheRef", call.op.value_cache, valueCacheRef);
    }
    call.absent("compressLensOptional", compressLensOptional)
        .absent("compressSeqOffsetOptional", compressSeqOffsetOptional);
    call.absent("seqLensOptional", seqLensOptional);
    const auto mode = front::text_of(cacheModeOptional, "Norm"), scatter = front::text_of(scatterModeOptional, "None");
    call.check.that(mode == "Norm" || mode == "PA_NZ", "cacheModeOptional is \"{}\", Norm or PA_NZ wanted", mode);
    call.check.that(scatter == "None", "scatterModeOptional is \"{}\", None wanted", scatter);
    static_cast<void>(stridesOptional), static_cast<void>(offsetsOptional);  // read with other scatter modes only
    if (!call.check.failed() && mode == "PA_NZ") front::look_at_blocks(call);
  });
}

aclnnStatus aclnnScatterPaKvCache(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                  aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
