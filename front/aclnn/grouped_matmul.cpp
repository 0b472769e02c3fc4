// SPDX-License-Identifier: Apache-2.0
// Products of groups: translation to grouped_matmul.
#include "tandem/ops/grouped_matmul.h"
#include "aclnnop/aclnn_grouped_matmul.h"
#include "aclnnop/aclnn_grouped_matmul_v2.h"
#include "aclnnop/aclnn_grouped_matmul_v3.h"
#include "aclnnop/aclnn_grouped_matmul_v4.h"
#include "aclnnop/aclnn_grouped_matmul_v5.h"
#include "front/aclnn/translate.h"

namespace tandem::front {
namespace {

struct GroupOperands {
  const aclTensorList *x, *weight, *bias, *dequant, *scale, *offset, *token, *y;
};

// A list of no tensors, or of tensors without elements, is an absent one.
const aclTensorList* given(const aclTensorList* list) {
  if (list == nullptr) return nullptr;
  for (const aclTensor* tensor : list->values) {
    if (tensor != nullptr && (!tensor->view.present() || tensor->view.elements() > 0)) return list;
  }
  return nullptr;
}

void bind_groups(Call<GroupedMatmul>& call, const GroupOperands& operands) {
  call.in("x", call.op.x, operands.x).in("weight", call.op.weight, operands.weight);
  call.in("biasOptional", call.op.bias, given(operands.bias))
      .in("scaleOptional", call.op.dequant, given(operands.dequant));
  call.in("antiquantScaleOptional", call.op.scale, given(operands.scale));
  call.in("antiquantOffsetOptional", call.op.offset, given(operands.offset));
  call.in("perTokenScaleOptional", call.op.token, given(operands.token)).out("y", call.op.y, operands.y);
  for (TensorView& weight : call.op.weight) unpack_words(weight);
}

void set_ends(Call<GroupedMatmul>& call, const aclIntArray* ends) {
  if (ends != nullptr) call.op.ends = ends->values;
}

void set_kind(Call<GroupedMatmul>& call, int64_t split_item, int64_t group_type, int64_t list_type, int64_t act_type) {
  constexpr int64_t kNone = 0, kGelu = 2, kSilu = 5;
  call.check.range("splitItem", split_item, 0, 3)
      .range("groupType", group_type, -1, 0)
      .range("groupListType", list_type, 0, 1);
  call.check.that(act_type == kNone || act_type == kGelu || act_type == kSilu, "actType is {}, 0, 2 or 5 wanted",
                  act_type);
  call.op.counts = list_type == 1;
  call.op.activation = act_type == kGelu ? Unary::gelu : act_type == kSilu ? Unary::silu : Unary::copy;
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnGroupedMatmulGetWorkspaceSize(const aclTensorList* x, const aclTensorList* weight,
                                               const aclTensorList* biasOptional, const aclTensorList* scaleOptional,
                                               const aclTensorList* offsetOptional,
                                               const aclTensorList* antiquantScaleOptional,
                                               const aclTensorList* antiquantOffsetOptional,
                                               const aclIntArray* groupListOptional, int64_t splitItem,
                                               const aclTensorList* y, uint64_t* workspaceSize,
                                               aclOpExecutor** executor) {
  return translate<tandem::GroupedMatmul>("aclnnGroupedMatmul", workspaceSize, executor, [&](auto& call) {
    front::bind_groups(
        call, {x, weight, biasOptional, scaleOptional, antiquantScaleOptional, antiquantOffsetOptional, nullptr, y});
    call.absent("offsetOptional", front::given(offsetOptional));
    front::set_ends(call, groupListOptional);
    call.check.range("splitItem", splitItem, 0, 3);
  });
}

aclnnStatus aclnnGroupedMatmul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnGroupedMatmulV2GetWorkspaceSize(const aclTensorList* x, const aclTensorList* weight,
                                                 const aclTensorList* biasOptional, const aclTensorList* scaleOptional,
                                                 const aclTensorList* offsetOptional,
                                                 const aclTensorList* antiquantScaleOptional,
                                                 const aclTensorList* antiquantOffsetOptional,
                                                 const aclIntArray* groupListOptional, int64_t splitItem,
                                                 int64_t groupType, const aclTensorList* y, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor) {
  return translate<tandem::GroupedMatmul>("aclnnGroupedMatmulV2", workspaceSize, executor, [&](auto& call) {
    front::bind_groups(
        call, {x, weight, biasOptional, scaleOptional, antiquantScaleOptional, antiquantOffsetOptional, nullptr, y});
    call.absent("offsetOptional", front::given(offsetOptional));
    front::set_ends(call, groupListOptional);
    call.check.range("splitItem", splitItem, 0, 3).range("groupType", groupType, -1, 0);
  });
}

aclnnStatus aclnnGroupedMatmulV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnGroupedMatmulV3GetWorkspaceSize(const aclTensorList* x, const aclTensorList* weight,
                                                 const aclTensorList* biasOptional, const aclTensorList* scaleOptional,
                                                 const aclTensorList* offsetOptional,
                                                 const aclTensorList* antiquantScaleOptional,
                                                 const aclTensorList* antiquantOffsetOptional,
                                                 const aclTensor* groupListOptional, int64_t splitItem,
                                                 int64_t groupType, const aclTensorList* y, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor) {
  return translate<tandem::GroupedMatmul>("aclnnGroupedMatmulV3", workspaceSize, executor, [&](auto& call) {
    front::bind_groups(
        call, {x, weight, biasOptional, scaleOptional, antiquantScaleOptional, antiquantOffsetOptional, nullptr, y});
    call.absent("offsetOptional", front::given(offsetOptional))
        .in("groupListOptional", call.op.group, groupListOptional);
    call.check.range("splitItem", splitItem, 0, 3).range("groupType", groupType, -1, 0);
  });
}

aclnnStatus aclnnGroupedMatmulV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnGroupedMatmulV4GetWorkspaceSize(
    const aclTensorList* x, const aclTensorList* weight, const aclTensorList* biasOptional,
    const aclTensorList* scaleOptional, const aclTensorList* offsetOptional,
    const aclTensorList* antiquantScaleOptional, const aclTensorList* antiquantOffsetOptional,
    const aclTensorList* perTokenScaleOptional, const aclTensor* groupListOptional,
    const aclTensorList* activationInputOptional, const aclTensorList* activationQuantScaleOptional,
    const aclTensorList* activationQuantOffsetOptional, int64_t splitItem, int64_t groupType, int64_t groupListType,
    int64_t actType, const aclTensorList* out, const aclTensorList* activationFeatureOutOptional,
    const aclTensorList* dynQuantScaleOutOptional, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::GroupedMatmul>("aclnnGroupedMatmulV4", workspaceSize, executor, [&](auto& call) {
    front::bind_groups(call, {x, weight, biasOptional, scaleOptional, antiquantScaleOptional, antiquantOffsetOptional,
                              perTokenScaleOptional, out});
    call.absent("offsetOptional", front::given(offsetOptional))
        .in("groupListOptional", call.op.group, groupListOptional);
    call.absent("activationInputOptional", front::given(activationInputOptional));
    call.absent("activationQuantScaleOptional", front::given(activationQuantScaleOptional));
    call.absent("activationQuantOffsetOptional", front::given(activationQuantOffsetOptional));
    call.absent("activationFeatureOutOptional", front::given(activationFeatureOutOptional));
    call.absent("dynQuantScaleOutOptional", front::given(dynQuantScaleOutOptional));
    front::set_kind(call, splitItem, groupType, groupListType, actType);
  });
}

aclnnStatus aclnnGroupedMatmulV4(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnGroupedMatmulV5GetWorkspaceSize(
    const aclTensorList* x, const aclTensorList* weight, const aclTensorList* biasOptional,
    const aclTensorList* scaleOptional, const aclTensorList* offsetOptional,
    const aclTensorList* antiquantScaleOptional, const aclTensorList* antiquantOffsetOptional,
    const aclTensorList* perTokenScaleOptional, const aclTensor* groupListOptional,
    const aclTensorList* activationInputOptional, const aclTensorList* activationQuantScaleOptional,
    const aclTensorList* activationQuantOffsetOptional, int64_t splitItem, int64_t groupType, int64_t groupListType,
    int64_t actType, const aclIntArray* tuningConfigOptional, const aclTensorList* out,
    const aclTensorList* activationFeatureOutOptional, const aclTensorList* dynQuantScaleOutOptional,
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::GroupedMatmul>("aclnnGroupedMatmulV5", workspaceSize, executor, [&](auto& call) {
    static_cast<void>(tuningConfigOptional);
    front::bind_groups(call, {x, weight, biasOptional, scaleOptional, antiquantScaleOptional, antiquantOffsetOptional,
                              perTokenScaleOptional, out});
    call.absent("offsetOptional", front::given(offsetOptional))
        .in("groupListOptional", call.op.group, groupListOptional);
    call.absent("activationInputOptional", front::given(activationInputOptional));
    call.absent("activationQuantScaleOptional", front::given(activationQuantScaleOptional));
    call.absent("activationQuantOffsetOptional", front::given(activationQuantOffsetOptional));
    call.absent("activationFeatureOutOptional", front::given(activationFeatureOutOptional));
    call.absent("dynQuantScaleOutOptional", front::given(dynQuantScaleOutOptional));
    front::set_kind(call, splitItem, groupType, groupListType, actType);
  });
}

aclnnStatus aclnnGroupedMatmulV5(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
