// SPDX-License-Identifier: Apache-2.0
// Rotary embeddings: translation to rope.
#include "tandem/ops/rope.h"
#include "aclnnop/aclnn_apply_rotary_pos_emb.h"
#include "aclnnop/aclnn_apply_rotary_pos_emb_v2.h"
#include "aclnnop/aclnn_interleave_rope.h"
#include "aclnnop/aclnn_rope_with_sin_cos_cache.h"
#include "aclnnop/aclnn_rotary_position_embedding.h"
#include "front/aclnn/chain.h"
#include "tandem/ops/movement.h"

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

// Columns [first, first + count) of the last dimension, every `every`-th.
TensorView columns(TensorView view, int64_t first, int64_t count, int64_t every = 1) {
  const auto last = static_cast<size_t>(view.rank - 1);
  view.data = static_cast<char*>(view.data) + dtype_bytes(view.dtype, first * view.stride[last]);
  view.shape[last] = count;
  view.stride[last] *= every;
  return view;
}

// Each of the n / 2 values twice: in both halves of a row, or side by side.
void repeat(Chain& chain, const TensorView& values, const TensorView& rows, bool halves) {
  const int64_t half = values.dim(-1);
  chain.then(Copy{values, halves ? columns(rows, 0, half) : columns(rows, 0, half, 2)});
  chain.then(Copy{values, halves ? columns(rows, half, half) : columns(rows, 1, half, 2)});
}

// The operands of RopeWithSinCosCache; a missing key is absent.
struct Cached {
  const TensorView &positions, &cache;
  const TensorView &query, &key, &query_out, &key_out;
  int64_t head_size;
  bool halves;
};

// Turns the first columns of every head of `to`, a copy of `from`.
void turn(Chain& chain, const TensorView& from, const TensorView& to, const TensorView& cos, const TensorView& sin,
          const Cached& given) {
  if (!from.present()) return;
  chain.then(Copy{from, to});
  const int64_t heads = to.dim(-1) / given.head_size;
  const TensorView split = reshaped(to, {cos.dim(0), heads, given.head_size});
  const RopeForm form = given.halves ? RopeForm::half : RopeForm::interleave;
  chain.then(Rope{.query = columns(split, 0, cos.dim(1)), .cos = cos, .sin = sin, .form = form});
}

void turn_by_cache(Chain& chain, const Cached& given) {
  const int64_t turned = given.cache.dim(1), tokens = given.positions.elements();
  const TensorView rows = chain.temporary(given.cache.dtype, {tokens, turned});
  const TensorView cos = chain.temporary_like(rows, rows.dtype), sin = chain.temporary_like(rows, rows.dtype);
  chain.then(Gather{given.cache, reshaped(given.positions, {tokens}), rows, 0});
  repeat(chain, columns(rows, 0, turned / 2), cos, given.halves);
  repeat(chain, columns(rows, turned / 2, turned / 2), sin, given.halves);
  turn(chain, given.query, given.query_out, cos, sin, given);
  turn(chain, given.key, given.key_out, cos, sin, given);
}

void check_cached(Check& check, const Cached& given) {
  check.rank("positions", given.positions, 1, 1).rank("cosSinCache", given.cache, 2, 2);
  if (check.failed()) return;
  const int64_t tokens = given.positions.elements(), turned = given.cache.dim(1);
  check.that(given.head_size > 0 && turned > 0 && turned % 2 == 0 && turned <= given.head_size,
             "headSize is {}, at least the even number of columns of cosSinCache {} wanted", given.head_size,
             given.cache.describe());
  for (const TensorView* view : {&given.query, &given.key, &given.query_out, &given.key_out}) {
    if (!view->present() || check.failed()) continue;
    check.that(view->contiguous() && view->rank >= 2 && view->dim(0) == tokens && view->dim(-1) % given.head_size == 0,
               "an operand is {}, dense [{}, heads * {}] wanted", view->describe(), tokens, given.head_size);
  }
}

// x with the pairs of each head's columns brought to its halves.
TensorView parted(const TensorView& x) {
  TensorView pairs = x;
  pairs.rank = 5;
  pairs.shape[3] = 2, pairs.shape[4] = x.dim(3) / 2;
  pairs.stride[3] = x.step(3), pairs.stride[4] = 2 * x.step(3);
  return pairs;
}

TensorView halved(const TensorView& x) {
  TensorView halves = x;
  halves.rank = 5;
  halves.shape[3] = 2, halves.shape[4] = x.dim(3) / 2;
  halves.stride[3] = x.dim(3) / 2 * x.step(3), halves.stride[4] = x.step(3);
  return halves;
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

aclnnStatus aclnnInterleaveRopeGetWorkspaceSize(const aclTensor* x, const aclTensor* cos, const aclTensor* sin,
                                                const aclTensor* out, uint64_t* workspaceSize,
                                                aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnInterleaveRope", workspaceSize, executor, [&](auto& call) {
    const tandem::TensorView& from = call.needed("x", x);
    const tandem::TensorView& cosine = call.needed("cos", cos);
    const tandem::TensorView& sine = call.needed("sin", sin);
    const tandem::TensorView& to = call.result("out", out);
    call.check.rank("x", from, 4, 4).rank("cos", cosine, 4, 4).same_shape("sin", sine, "cos", cosine);
    if (call.check.failed()) return;
    call.check.same_shape("out", to, "x", from)
        .that(from.dim(3) % 2 == 0, "x {} has odd heads, even ones wanted", from.describe());
    call.check.that(cosine.dim(1) == 1 && cosine.dim(0) == from.dim(0) && cosine.dim(2) == from.dim(2),
                    "cos is {}, [{},1,{},{}] wanted", cosine.describe(), from.dim(0), from.dim(2), from.dim(3));
    call.op.build = [&](front::Chain& chain) {
      const std::vector<int64_t> tokens_first = {0, 2, 1, 3};
      chain.then(tandem::Copy{front::parted(from), front::halved(to)});
      chain.then(tandem::Rope{.query = front::permuted(to, tokens_first),
                              .cos = front::permuted(cosine, tokens_first),
                              .sin = front::permuted(sine, tokens_first)});
    };
  });
}

aclnnStatus aclnnInterleaveRope(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnRopeWithSinCosCacheGetWorkspaceSize(const aclTensor* positions, const aclTensor* queryIn,
                                                     const aclTensor* keyIn, const aclTensor* cosSinCache,
                                                     const aclIntArray* mropeSection, int64_t headSize,
                                                     bool isNeoxStyle, aclTensor* queryOut, aclTensor* keyOut,
                                                     uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnRopeWithSinCosCache", workspaceSize, executor, [&](auto& call) {
    const front::Cached given{call.needed("positions", positions),
                              call.needed("cosSinCache", cosSinCache),
                              call.needed("queryIn", queryIn),
                              call.given("keyIn", keyIn),
                              call.result("queryOut", queryOut),
                              call.optional_result("keyOut", keyOut),
                              headSize,
                              isNeoxStyle};
    call.absent("mropeSection", mropeSection).check.present("keyOut", keyIn == nullptr || keyOut != nullptr);
    front::check_cached(call.check, given);
    call.op.build = [given](front::Chain& chain) { front::turn_by_cache(chain, given); };
  });
}

aclnnStatus aclnnRopeWithSinCosCache(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                     aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
