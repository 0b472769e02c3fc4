// SPDX-License-Identifier: Apache-2.0
// Routing of tokens to experts: translation to moe_gating, moe_init_routing and moe_finalize_routing.
#include "tandem/ops/moe_routing.h"
#include "aclnnop/aclnn_moe_compute_expert_tokens.h"
#include "aclnnop/aclnn_moe_finalize_routing.h"
#include "aclnnop/aclnn_moe_finalize_routing_v2.h"
#include "aclnnop/aclnn_moe_gating_top_k_softmax.h"
#include "aclnnop/aclnn_moe_gating_top_k_softmax_v2.h"
#include "aclnnop/aclnn_moe_init_routing.h"
#include "aclnnop/aclnn_moe_init_routing_v2.h"
#include "front/aclnn/translate.h"

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnMoeGatingTopKSoftmaxGetWorkspaceSize(const aclTensor* x, const aclTensor* finishedOptional, int64_t k,
                                                      const aclTensor* yOut, const aclTensor* expertIdxOut,
                                                      const aclTensor* rowIdxOut, uint64_t* workspaceSize,
                                                      aclOpExecutor** executor) {
  return translate<tandem::MoeGating>("aclnnMoeGatingTopKSoftmax", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x).in("finishedOptional", call.op.finished, finishedOptional).out("yOut", call.op.y, yOut);
    call.out("expertIdxOut", call.op.expert, expertIdxOut).out("rowIdxOut", call.op.row, rowIdxOut);
    call.check.present("rowIdxOut", rowIdxOut != nullptr);
    call.op.top_k = k;
  });
}

aclnnStatus aclnnMoeGatingTopKSoftmax(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                      aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeGatingTopKSoftmaxV2GetWorkspaceSize(const aclTensor* x, const aclTensor* finishedOptional,
                                                        int64_t k, int64_t renorm, bool outputSoftmaxResultFlag,
                                                        const aclTensor* yOut, const aclTensor* expertIdxOut,
                                                        const aclTensor* softmaxResultOutOptional,
                                                        uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MoeGating>("aclnnMoeGatingTopKSoftmaxV2", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x).in("finishedOptional", call.op.finished, finishedOptional).out("yOut", call.op.y, yOut);
    call.out("expertIdxOut", call.op.expert, expertIdxOut).check.range("renorm", renorm, 0, 1);
    if (outputSoftmaxResultFlag) call.need("softmaxResultOutOptional", call.op.softmax, softmaxResultOutOptional);
    call.op.top_k = k;
    call.op.normalise = renorm == 1;
  });
}

aclnnStatus aclnnMoeGatingTopKSoftmaxV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeInitRoutingGetWorkspaceSize(const aclTensor* x, const aclTensor* rowIdx, const aclTensor* expertIdx,
                                                int64_t activeNum, const aclTensor* expandedXOut,
                                                const aclTensor* expandedRowIdxOut,
                                                const aclTensor* expandedExpertIdxOut, uint64_t* workspaceSize,
                                                aclOpExecutor** executor) {
  return translate<tandem::MoeInitRouting>("aclnnMoeInitRouting", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x).need("rowIdx", call.op.row, rowIdx).in("expertIdx", call.op.expert, expertIdx);
    call.out("expandedXOut", call.op.expanded_x, expandedXOut)
        .out("expandedRowIdxOut", call.op.place, expandedRowIdxOut);
    call.out("expandedExpertIdxOut", call.op.sorted_expert, expandedExpertIdxOut);
    call.check.present("expandedExpertIdxOut", expandedExpertIdxOut != nullptr);
    call.check.that(activeNum > 0, "activeNum is {}, a positive number wanted", activeNum);
    call.op.active = activeNum;
  });
}

aclnnStatus aclnnMoeInitRouting(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeInitRoutingV2GetWorkspaceSize(
    const aclTensor* x, const aclTensor* expertIdx, int64_t activeNumOptional, int64_t expertCapacityOptional,
    int64_t expertNumOptional, int64_t dropPadModeOptional, int64_t expertTokensCountOrCumsumFlagOptional,
    bool expertTokensBeforeCapacityFlagOptional, const aclTensor* expandedXOut, const aclTensor* expandedRowIdxOut,
    const aclTensor* expertTokensCountOrCumsumOutOptional, const aclTensor* expertTokensBeforeCapacityOutOptional,
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MoeInitRouting>("aclnnMoeInitRoutingV2", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x)
        .in("expertIdx", call.op.expert, expertIdx)
        .out("expandedXOut", call.op.expanded_x, expandedXOut);
    call.out("expandedRowIdxOut", call.op.place, expandedRowIdxOut);
    call.check.range("dropPadModeOptional", dropPadModeOptional, 0, 1);
    const bool pads = dropPadModeOptional == 1;
    call.check.range("expertTokensCountOrCumsumFlagOptional", expertTokensCountOrCumsumFlagOptional, 0, pads ? 0 : 2);
    call.check.that(pads || !expertTokensBeforeCapacityFlagOptional,
                    "expertTokensBeforeCapacityFlagOptional is true, false wanted (dropPadModeOptional is 0)");
    if (pads) {
      call.check.range("expertCapacityOptional", expertCapacityOptional, 1, INT32_MAX);
      call.check.that(call.op.expanded_x.dim(0) == expertNumOptional, "expertNumOptional is {}, {} wanted ({})",
                      expertNumOptional, call.op.expanded_x.dim(0), "the experts of expandedXOut");
      call.op.capacity = expertCapacityOptional;
    }
    if (expertTokensCountOrCumsumFlagOptional != 0) {
      call.out("expertTokensCountOrCumsumOutOptional", call.op.tokens, expertTokensCountOrCumsumOutOptional);
    }
    if (expertTokensBeforeCapacityFlagOptional) {
      call.need("expertTokensBeforeCapacityOutOptional", call.op.tokens, expertTokensBeforeCapacityOutOptional);
    }
    call.op.counts = pads || expertTokensCountOrCumsumFlagOptional == 2;
    const int64_t slots = expertIdx == nullptr ? 0 : expertIdx->view.elements();
    call.check.that(activeNumOptional == 0 || activeNumOptional >= slots,
                    "activeNumOptional is {}, 0 or at least {} wanted", activeNumOptional, slots);
  });
}

aclnnStatus aclnnMoeInitRoutingV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                  aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeComputeExpertTokensGetWorkspaceSize(const aclTensor* sortedExperts, int64_t numExperts,
                                                        const aclTensor* out, uint64_t* workspaceSize,
                                                        aclOpExecutor** executor) {
  return translate<tandem::MoeExpertTokens>("aclnnMoeComputeExpertTokens", workspaceSize, executor, [&](auto& call) {
    call.in("sortedExperts", call.op.sorted_expert, sortedExperts).out("out", call.op.tokens, out);
    call.check.that(out == nullptr || call.op.tokens.elements() == numExperts, "numExperts is {}, {} wanted ({})",
                    numExperts, call.op.tokens.elements(), "the values of out");
  });
}

aclnnStatus aclnnMoeComputeExpertTokens(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeFinalizeRoutingGetWorkspaceSize(const aclTensor* expandedX, const aclTensor* x1,
                                                    const aclTensor* x2Optional, const aclTensor* bias,
                                                    const aclTensor* scales, const aclTensor* expandedRowIdx,
                                                    const aclTensor* expandedExpertIdx, const aclTensor* out,
                                                    uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MoeFinalizeRouting>("aclnnMoeFinalizeRouting", workspaceSize, executor, [&](auto& call) {
    call.in("expandedX", call.op.expanded, expandedX)
        .need("x1", call.op.skip1, x1)
        .in("x2Optional", call.op.skip2, x2Optional);
    call.need("bias", call.op.bias, bias)
        .need("scales", call.op.scales, scales)
        .in("expandedRowIdx", call.op.place, expandedRowIdx);
    call.need("expandedExpertIdx", call.op.expert, expandedExpertIdx).out("out", call.op.y, out);
  });
}

aclnnStatus aclnnMoeFinalizeRouting(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                    aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeFinalizeRoutingV2GetWorkspaceSize(const aclTensor* expandedX, const aclTensor* expandedRowIdx,
                                                      const aclTensor* x1Optional, const aclTensor* x2Optional,
                                                      const aclTensor* biasOptional, const aclTensor* scalesOptional,
                                                      const aclTensor* expertIdxOptional, int64_t dropPadMode,
                                                      const aclTensor* out, uint64_t* workspaceSize,
                                                      aclOpExecutor** executor) {
  return translate<tandem::MoeFinalizeRouting>("aclnnMoeFinalizeRoutingV2", workspaceSize, executor, [&](auto& call) {
    call.in("expandedX", call.op.expanded, expandedX).in("expandedRowIdx", call.op.place, expandedRowIdx);
    call.in("x1Optional", call.op.skip1, x1Optional).in("x2Optional", call.op.skip2, x2Optional);
    call.in("biasOptional", call.op.bias, biasOptional).in("scalesOptional", call.op.scales, scalesOptional);
    call.in("expertIdxOptional", call.op.expert, expertIdxOptional).out("out", call.op.y, out);
    call.check.range("dropPadMode", dropPadMode, 0, 3);
    const bool padded = dropPadMode % 2 == 1;
    call.check.that(!padded || call.op.expanded.rank == 3, "expandedX is {}, three dimensions wanted (dropPadMode {})",
                    call.op.expanded.describe(), dropPadMode);
    call.op.row_major = dropPadMode >= 2;
  });
}

aclnnStatus aclnnMoeFinalizeRoutingV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                      aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
