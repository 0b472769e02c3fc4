// SPDX-License-Identifier: Apache-2.0
#include "silu_quant.h"

#include "tandem/kernels/cpu/narrow.h"
#include "tandem/kernels/cpu/parts.h"

namespace tandem::TANDEM_ISA {
namespace {

// v of one row to a buffer in cache; the largest magnitude.
float multiply(const float* a, const float* b, int64_t n, float* v) {
  Vec most = set(0.0f);
  for_vectors(n, [&](int64_t i, auto span) {
    prefetch(a + i), prefetch(b + i);
    const Vec gate = load_span<F32>(a, i, span);
    const Vec silu = div(gate, add(set(1.0f), exp(neg(gate))));
    const Vec value = mul(silu, load_span<F32>(b, i, span));
    store_span<F32>(v, i, value, span);
    most = at_least(at_least(most, value), neg(value));
  });
  return greatest_lane(most);
}

template <class Quotient>
void quantise(const float* v, int64_t n, float scale, int8_t* row, bool past) {
  const Quotient quotient(scale);
  for (int64_t first = 0; first < n; first += kPiece) {
    NarrowOut out(row, DType::i8, first, past);
    narrow(min64(kPiece, n - first), out, [&](int64_t i, auto span) {
      return quotient.of(load_span<F32>(v, first + i, span), set(0.0f));
    });
    out.finish(min64(kPiece, n - first));
  }
}

}  // namespace

void silu_quant(const SiluQuantArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  Parts<float> buffers(lane, args.n);
  const bool past = past_caches(args.rows * args.n);
  lane.team->parallel_for(args.rows, grain_of(16 * args.n), [&](int64_t begin, int64_t end) {
    float* v = buffers.claim();
    for (int64_t first = begin * args.n; begin < end; ++begin, first += args.n) {
      const float scale = args.scale[begin] = multiply(args.a + first, args.b + first, args.n, v) / 127.0f;
      if (RoundedQuotient::safe(scale)) {
        quantise<RoundedQuotient>(v, args.n, scale, args.y + first, past);
      } else {
        quantise<PlainQuotient>(v, args.n, scale > 0 ? scale : 1.0f, args.y + first, past);
      }
    }
    stream_fence();
  });
}

}  // namespace tandem::TANDEM_ISA
