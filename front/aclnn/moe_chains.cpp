// SPDX-License-Identifier: Apache-2.0
// Routing with quantised rows, and rows brought to experts and back: translation to moe_init_routing and its relatives.
#include <algorithm>

#include "aclnnop/aclnn_moe_init_routing_quant.h"
#include "aclnnop/aclnn_moe_init_routing_quant_v2.h"
#include "aclnnop/aclnn_moe_init_routing_v3.h"
#include "aclnnop/aclnn_moe_init_routing_v4.h"
#include "aclnnop/aclnn_moe_token_permute.h"
#include "aclnnop/aclnn_moe_token_unpermute.h"
#include "front/aclnn/chain.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/moe_routing.h"
#include "tandem/ops/movement.h"
#include "tandem/ops/quantize.h"

namespace tandem::front {
namespace {

enum class Rows : uint8_t { as_they_are, fixed, dynamic };

// Rows to be quantised, and how; an absent scale is none.
struct Quantised {
  Rows how = Rows::as_they_are;
  TensorView x, scale, offset;
};

struct Made {
  TensorView rows, scales;  // scales: (n, 1) where each row has one
};

Made make_rows(Chain& chain, const Quantised& given) {
  if (given.how == Rows::as_they_are) {
    if (!given.scale.present()) return {given.x, {}};
    return {given.x, reshaped(given.scale, {given.x.dim(0), 1})};
  }
  const TensorView rows = chain.temporary_like(given.x, DType::i8);
  if (given.how == Rows::fixed) {
    chain.then(Quantize{.x = given.x, .scale = given.scale, .offset = given.offset, .y = rows});
    return {rows, {}};
  }
  const TensorView scales = chain.temporary(DType::f32, {given.x.dim(0)});
  DynamicQuant quantised{.x = given.x, .smooth = given.scale, .y = rows, .scale = scales};
  if (given.scale.present()) {
    quantised.x = chain.temporary_like(given.x, DType::f32);
    quantised.smooth = reshaped(given.scale, {given.scale.elements()});
    chain.then(Cast{given.x, quantised.x});
  }
  chain.then(quantised);
  return {rows, reshaped(scales, {given.x.dim(0), 1})};
}

// One value for each row of routing.x goes the way of the rows.
void carry(Chain& chain, MoeInitRouting routing, const TensorView& out) {
  std::vector<int64_t> dims(routing.expanded_x.shape.begin(),
                            routing.expanded_x.shape.begin() + routing.expanded_x.rank);
  dims.back() = 1;
  routing.expanded_x = reshaped(out, dims);
  routing.place = chain.temporary_like(routing.place, DType::i32);
  routing.sorted_expert = routing.tokens = routing.order = {};
  chain.then(routing);
}

void route(Chain& chain, const Quantised& given, MoeInitRouting routing, const TensorView& scales_out) {
  const Made made = make_rows(chain, given);
  routing.x = made.rows;
  chain.then(routing);
  if (!made.scales.present() || !scales_out.present()) return;
  routing.x = made.scales;
  carry(chain, routing, scales_out);
}

void check_capacity(Check& check, const TensorView& expanded, int64_t experts, int64_t capacity) {
  check.that(capacity > 0, "expertCapacity is {}, a positive number wanted (dropPadMode is 1)", capacity);
  check.that(expanded.rank == 3 && expanded.dim(0) == experts, "expandedXOut is {}, [{},{},h] wanted",
             expanded.describe(), experts, capacity);
}

// Scales for the whole of x, a row or a value, as quantMode asks.
void check_scales(Check& check, const Quantised& given) {
  if (given.how == Rows::fixed) {
    check.present("scaleOptional", given.scale.present()).present("offsetOptional", given.offset.present());
    return;
  }
  if (!given.scale.present() || check.failed()) return;
  const int64_t wanted = given.how == Rows::dynamic ? given.x.dim(-1) : given.x.dim(0);
  check.that(given.scale.elements() == wanted, "scaleOptional is {}, {} values wanted", given.scale.describe(), wanted);
}

Rows rows_of(Check& check, int64_t mode, int64_t least) {
  check.range("quantMode", mode, least, 1);
  return mode == -1 ? Rows::as_they_are : mode == 0 ? Rows::fixed : Rows::dynamic;
}

// Whether each row has a scale that goes with it.
bool carries(Rows how, const aclTensor* scale) {
  return how == Rows::dynamic || (how == Rows::as_they_are && scale != nullptr);
}

// [first, last) of the experts whose slots count.
void set_range(Check& check, const aclIntArray* range, int64_t experts, MoeInitRouting& routing) {
  if (range == nullptr || range->values.empty()) return;
  check.that(range->values.size() == 2, "activeExpertRangeOptional has {} values, 2 wanted", range->values.size());
  if (check.failed()) return;
  routing.first_expert = range->values[0];
  routing.last_expert = range->values[1];
  check.that(routing.first_expert >= 0 && routing.first_expert < routing.last_expert && routing.last_expert <= experts,
             "activeExpertRangeOptional is [{},{}), a part of [0,{}) wanted", routing.first_expert, routing.last_expert,
             experts);
}

// What the later forms of the call have in common; null tokens are not counted, null scales and weights not carried.
struct Route {
  const aclTensor *x, *expert, *scale, *offset, *rows, *place, *tokens, *scales;
  Rows how;
  int64_t drops, capacity, experts;
  bool counts;
  const aclIntArray* range = nullptr;
  bool ordered = false;  // place: the slots in order
  const aclTensor *weights = nullptr, *weights_out = nullptr;
};

void carry_weights(Chain& chain, const TensorView& weights, MoeInitRouting routing, const TensorView& out) {
  const int64_t slots = weights.elements();
  routing.x = reshaped(weights, {slots, 1});
  routing.expert = reshaped(routing.expert, {slots, 1});
  carry(chain, routing, out);
}

void bind_route(Call<Steps>& call, const Route& given) {
  const TensorView& x = call.needed("x", given.x);
  const TensorView& expert = call.needed("expertIdx", given.expert);
  const TensorView& scale = call.given("scaleOptional", given.scale);
  const TensorView& offset = call.given("offsetOptional", given.offset);
  const TensorView& weights = call.given("topkWeightOptional", given.weights);
  const TensorView& rows = call.result("expandedXOut", given.rows);
  const TensorView& place = call.result("expandedRowIdxOut", given.place);
  const TensorView& tokens = call.optional_result("expertTokensCountOrCumsumOut", given.tokens);
  const TensorView& scales = call.optional_result("expandedScaleOut", given.scales);
  const TensorView& weights_out = call.optional_result("expandedTopkWeightOut", given.weights_out);
  call.check.range("dropPadMode", given.drops, 0, 1).rank("x", x, 2, 2).rank("expertIdx", expert, 2, 2);
  if (given.drops == 1) check_capacity(call.check, rows, given.experts, given.capacity);
  check_scales(call.check, {given.how, x, scale, offset});
  MoeInitRouting plain{.counts = given.counts, .capacity = given.drops == 1 ? given.capacity : 0};
  set_range(call.check, given.range, given.experts, plain);
  const Rows how = given.how;
  const bool ordered = given.ordered;
  call.op.build = [&, plain, how, ordered](Chain& chain) {
    MoeInitRouting routing = plain;
    routing.expert = expert, routing.expanded_x = rows, routing.tokens = tokens;
    routing.place = ordered ? chain.temporary_like(place, DType::i32) : place;
    if (ordered) routing.order = place;
    route(chain, {how, x, scale, offset}, routing, scales);
    if (weights.present() && weights_out.present()) carry_weights(chain, weights, routing, weights_out);
  };
}

// How many of the sorted rows are kept, as a slice counts.
int64_t kept_rows(int64_t slots, int64_t wanted) {
  if (wanted < 0) return std::max<int64_t>(0, slots + wanted);
  return wanted == 0 ? slots : std::min(slots, wanted);
}

void permute(Chain& chain, const TensorView& tokens, const TensorView& experts, const TensorView& rows,
             const TensorView& places) {
  const int64_t n = tokens.dim(0), h = n == 0 ? 0 : tokens.elements() / n,
                k = experts.elements() / std::max<int64_t>(1, n);
  TensorView ids = reshaped(experts, {n, k});
  if (ids.dtype != DType::i32) {
    ids = chain.temporary(DType::i32, {n, k});
    chain.then(Cast{reshaped(experts, {n, k}), ids});
  }
  const int64_t kept = rows.dim(0);
  const TensorView all = kept == n * k ? reshaped(rows, {n * k, h}) : chain.temporary(rows.dtype, {n * k, h});
  chain.then(MoeInitRouting{.x = reshaped(tokens, {n, h}), .expert = ids, .expanded_x = all, .place = places});
  if (kept != n * k) chain.then(Copy{all.rows(0, kept), reshaped(rows, {kept, h})});
}

void check_permute(Check& check, const TensorView& tokens, const TensorView& experts, const TensorView& rows,
                   int64_t wanted) {
  check.rank("tokens", tokens, 2, 8).rank("indices", experts, 1, 2).rank("permuteTokensOut", rows, 2, 8);
  if (check.failed()) return;
  const int64_t n = tokens.dim(0);
  check.that(experts.dim(0) == n, "indices is {}, {} rows wanted (tokens {})", experts.describe(), n,
             tokens.describe());
  const int64_t kept = kept_rows(experts.elements(), wanted);
  const int64_t h = n == 0 ? 0 : tokens.elements() / n;
  check.that(rows.dim(0) == kept && rows.elements() == kept * h, "permuteTokensOut is {}, [{},{}] wanted",
             rows.describe(), kept, h);
  for (const TensorView* view : {&tokens, &experts, &rows})
    check.that(view->contiguous(), "an operand {} has gaps, dense ones wanted", view->describe());
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnMoeInitRoutingQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* rowIdx,
                                                     const aclTensor* expertIdx, int64_t activeNum, double scale,
                                                     double offset, const aclTensor* expandedXOut,
                                                     const aclTensor* expandedRowIdxOut,
                                                     const aclTensor* expandedExpertIdxOut, uint64_t* workspaceSize,
                                                     aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnMoeInitRoutingQuant", workspaceSize, executor, [&](auto& call) {
    const tandem::TensorView& tokens = call.needed("x", x);
    const tandem::TensorView& row = call.needed("rowIdx", rowIdx);
    const tandem::TensorView& expert = call.needed("expertIdx", expertIdx);
    const tandem::TensorView& rows = call.result("expandedXOut", expandedXOut);
    const tandem::TensorView& place = call.result("expandedRowIdxOut", expandedRowIdxOut);
    const tandem::TensorView& sorted = call.result("expandedExpertIdxOut", expandedExpertIdxOut);
    call.check.that(activeNum > 0, "activeNum is {}, a positive number wanted", activeNum);
    call.op.build = [&, activeNum, scale, offset](front::Chain& chain) {
      const auto factor = chain.constant(static_cast<float>(scale)), added = chain.constant(static_cast<float>(offset));
      front::route(chain, {front::Rows::fixed, tokens, factor, added},
                   {.row = row,
                    .expert = expert,
                    .expanded_x = rows,
                    .place = place,
                    .sorted_expert = sorted,
                    .active = activeNum},
                   {});
    };
  });
}

aclnnStatus aclnnMoeInitRoutingQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                     aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeInitRoutingQuantV2GetWorkspaceSize(
    const aclTensor* x, const aclTensor* expertIdx, const aclTensor* scaleOptional, const aclTensor* offsetOptional,
    int64_t activeNum, int64_t expertCapacity, int64_t expertNum, int64_t dropPadMode,
    int64_t expertTokensCountOrCumsumFlag, bool expertTokensBeforeCapacityFlag, int64_t quantMode,
    const aclTensor* expandedXOut, const aclTensor* expandedRowIdxOut,
    const aclTensor* expertTokensCountOrCumsumOutOptional, const aclTensor* expertTokensBeforeCapacityOutOptional,
    const aclTensor* dynamicQuantScaleOutOptional, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnMoeInitRoutingQuantV2", workspaceSize, executor, [&](auto& call) {
    const bool pads = dropPadMode == 1;
    call.check.range("expertTokensCountOrCumsumFlag", expertTokensCountOrCumsumFlag, 0, pads ? 0 : 2);
    const aclTensor* before = expertTokensBeforeCapacityFlag ? expertTokensBeforeCapacityOutOptional : nullptr;
    const aclTensor* tokens = expertTokensCountOrCumsumFlag != 0 ? expertTokensCountOrCumsumOutOptional : nullptr;
    const auto how = front::rows_of(call.check, quantMode, 0);
    static_cast<void>(activeNum);
    front::bind_route(call, {.x = x,
                             .expert = expertIdx,
                             .scale = scaleOptional,
                             .offset = offsetOptional,
                             .rows = expandedXOut,
                             .place = expandedRowIdxOut,
                             .tokens = pads ? before : tokens,
                             .scales = how == front::Rows::dynamic ? dynamicQuantScaleOutOptional : nullptr,
                             .how = how,
                             .drops = dropPadMode,
                             .capacity = expertCapacity,
                             .experts = expertNum,
                             .counts = pads || expertTokensCountOrCumsumFlag == 2});
  });
}

aclnnStatus aclnnMoeInitRoutingQuantV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                       aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeInitRoutingV3GetWorkspaceSize(
    const aclTensor* x, const aclTensor* expertIdx, const aclTensor* scaleOptional, const aclTensor* offsetOptional,
    int64_t activeNum, int64_t expertCapacity, int64_t expertNum, int64_t dropPadMode, int64_t expertTokensNumType,
    bool expertTokensNumFlag, int64_t quantMode, const aclIntArray* activeExpertRangeOptional, int64_t rowIdxType,
    const aclTensor* expandedXOut, const aclTensor* expandedRowIdxOut, const aclTensor* expertTokensCountOrCumsumOut,
    const aclTensor* expandedScaleOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnMoeInitRoutingV3", workspaceSize, executor, [&](auto& call) {
    call.check.range("expertTokensNumType", expertTokensNumType, 0, 1).range("rowIdxType", rowIdxType, 0, 1);
    const auto how = front::rows_of(call.check, quantMode, -1);
    static_cast<void>(activeNum);
    front::bind_route(call, {.x = x,
                             .expert = expertIdx,
                             .scale = scaleOptional,
                             .offset = how == front::Rows::fixed ? offsetOptional : nullptr,
                             .rows = expandedXOut,
                             .place = expandedRowIdxOut,
                             .tokens = expertTokensNumFlag ? expertTokensCountOrCumsumOut : nullptr,
                             .scales = front::carries(how, scaleOptional) ? expandedScaleOut : nullptr,
                             .how = how,
                             .drops = dropPadMode,
                             .capacity = expertCapacity,
                             .experts = expertNum,
                             .counts = expertTokensNumType == 1,
                             .range = activeExpertRangeOptional,
                             .ordered = rowIdxType == 1});
  });
}

aclnnStatus aclnnMoeInitRoutingV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                  aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeInitRoutingV4GetWorkspaceSize(
    const aclTensor* x, const aclTensor* expertIdx, const aclTensor* scaleOptional, const aclTensor* offsetOptional,
    const aclTensor* activeNumOptional, const aclTensor* topkWeightOptional, int64_t expertCapacity, int64_t expertNum,
    int64_t dropPadMode, int64_t expertTokensNumType, bool expertTokensNumFlag, int64_t quantMode,
    const aclIntArray* activeExpertRangeOptional, int64_t rowIdxType, const aclTensor* expandedXOut,
    const aclTensor* expandedRowIdxOut, const aclTensor* expertTokensCountOrCumsumOut,
    const aclTensor* expandedScaleOut, const aclTensor* expandedTopkWeightOut, uint64_t* workspaceSize,
    aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnMoeInitRoutingV4", workspaceSize, executor, [&](auto& call) {
    call.check.range("expertTokensNumType", expertTokensNumType, 0, 1).range("rowIdxType", rowIdxType, 0, 1);
    const auto how = front::rows_of(call.check, quantMode, -1);
    static_cast<void>(activeNumOptional);  // rows behind it are made too
    front::bind_route(call, {.x = x,
                             .expert = expertIdx,
                             .scale = scaleOptional,
                             .offset = how == front::Rows::fixed ? offsetOptional : nullptr,
                             .rows = expandedXOut,
                             .place = expandedRowIdxOut,
                             .tokens = expertTokensNumFlag ? expertTokensCountOrCumsumOut : nullptr,
                             .scales = front::carries(how, scaleOptional) ? expandedScaleOut : nullptr,
                             .how = how,
                             .drops = dropPadMode,
                             .capacity = expertCapacity,
                             .experts = expertNum,
                             .counts = expertTokensNumType == 1,
                             .range = activeExpertRangeOptional,
                             .ordered = rowIdxType == 1,
                             .weights = topkWeightOptional,
                             .weights_out = expandedTopkWeightOut});
  });
}

aclnnStatus aclnnMoeInitRoutingV4(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                  aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeTokenPermuteGetWorkspaceSize(const aclTensor* tokens, const aclTensor* indices,
                                                 int64_t numOutTokens, bool paddedMode,
                                                 const aclTensor* permuteTokensOut, const aclTensor* sortedIndicesOut,
                                                 uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnMoeTokenPermute", workspaceSize, executor, [&](auto& call) {
    const tandem::TensorView& rows = call.needed("tokens", tokens);
    const tandem::TensorView& experts = call.needed("indices", indices);
    const tandem::TensorView& sorted = call.result("permuteTokensOut", permuteTokensOut);
    const tandem::TensorView& places = call.result("sortedIndicesOut", sortedIndicesOut);
    call.check.that(!paddedMode, "paddedMode is true, false wanted (not supported)");
    front::check_permute(call.check, rows, experts, sorted, numOutTokens);
    call.op.build = [&](front::Chain& chain) { front::permute(chain, rows, experts, sorted, places); };
  });
}

aclnnStatus aclnnMoeTokenPermute(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMoeTokenUnpermuteGetWorkspaceSize(const aclTensor* permutedTokens, const aclTensor* sortedIndices,
                                                   const aclTensor* probsOptional, bool paddedMode,
                                                   const aclIntArray* restoreShapeOptional, aclTensor* out,
                                                   uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MoeFinalizeRouting>("aclnnMoeTokenUnpermute", workspaceSize, executor, [&](auto& call) {
    static_cast<void>(restoreShapeOptional);  // read by the vendor in padded mode only
    call.in("permutedTokens", call.op.expanded, permutedTokens).in("sortedIndices", call.op.place, sortedIndices);
    call.in("probsOptional", call.op.scales, probsOptional).out("out", call.op.y, out);
    call.check.that(!paddedMode, "paddedMode is true, false wanted (not supported)");
    call.op.row_major = true;
  });
}

aclnnStatus aclnnMoeTokenUnpermute(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
