// SPDX-License-Identifier: Apache-2.0
// Rotary embeddings: translation to rope.
#include "tandem/ops/rope.h"
#include "aclnnop/aclnn_apply_rotary_pos_emb.h"
#include "aclnnop/aclnn_apply_rotary_pos_emb_v2.h"
#include "aclnnop/aclnn_rotary_position_embedding.h"
#include "front/aclnn/translate.h"

namespace tandem::front {
namespace {

void bind_rope(Call<Rope>& call, const aclTensor* query, const aclTensor* key, const aclTensor* cos,
               const aclTensor* sin, int64_t layout) {
  call.in("queryRef", call.op.query, query).need("keyRef", call.op.key, key).in("cos", call.op.cos, cos);
  call.in("sin", call.op.sin, sin)
      .check.that(layout == 1 || layout == 2 || layout == 4, "layout is {}, 1, 2 or 4 wanted", layout);
}

void set_mode(Call<Rope>& call, std::string_view mode) {
  constexpr std::pair<std::string_view, RopeForm> kModes[] = {
      {"half", RopeForm::half}, {"interleave", RopeForm::interleave}, {"quarter", RopeForm::quarter}};
  for (const auto& [name, form] : kModes) {
    if (name == mode) call.op.form = form;
  }
  const bool known = mode == "half" || mode == "interleave" || mode == "quarter";
  call.check.that(known, "rotaryMode is \"{}\", half, interleave or quarter wanted", mode);
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnApplyRotaryPosEmbGetWorkspaceSize(const aclTensor* queryRef, const aclTensor* keyRef,
                                                   const aclTensor* cos, const aclTensor* sin, int64_t layout,
                                                   uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Rope>("aclnnApplyRotaryPosEmb", workspaceSize, executor,
                                 [&](auto& call) { front::bind_rope(call, queryRef, keyRef, cos, sin, layout); });
}

aclnnStatus aclnnApplyRotaryPosEmb(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnApplyRotaryPosEmbV2GetWorkspaceSize(const aclTensor* queryRef, const aclTensor* keyRef,
                                                     const aclTensor* cos, const aclTensor* sin, int64_t layout,
                                                     const char* rotaryMode, uint64_t* workspaceSize,
                                                     aclOpExecutor** executor) {
  return translate<tandem::Rope>("aclnnApplyRotaryPosEmbV2", workspaceSize, executor, [&](auto& call) {
    front::bind_rope(call, queryRef, keyRef, cos, sin, layout);
    front::set_mode(call, front::text_of(rotaryMode, "half"));
  });
}

aclnnStatus aclnnApplyRotaryPosEmbV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                     aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnRotaryPositionEmbeddingGetWorkspaceSize(const aclTensor* x, const aclTensor* cos, const aclTensor* sin,
                                                         int64_t mode, const aclTensor* out, uint64_t* workspaceSize,
                                                         aclOpExecutor** executor) {
  return translate<tandem::Rope>("aclnnRotaryPositionEmbedding", workspaceSize, executor, [&](auto& call) {
    constexpr std::string_view kModes[] = {"half", "interleave", "quarter"};
    call.in("x", call.op.query, x)
        .in("cos", call.op.cos, cos)
        .in("sin", call.op.sin, sin)
        .need("out", call.op.query_out, out);
    call.check.range("mode", mode, 0, 2);
    if (!call.check.failed()) front::set_mode(call, kModes[mode]);
  });
}

aclnnStatus aclnnRotaryPositionEmbedding(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                         aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
