// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/stream.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr int64_t kExpWork = 16;  // multiply-adds one exp is worth

// p = exp(logit - max) / sum, sum in rising order.
void softmax_row(const float* logits, int64_t count, float* p) {
  float top = logits[0];
  for (int64_t i = 1; i < count; ++i) top = max_nan(top, logits[i]);
  for (int64_t i = 0; i < count; i += kLanes) {
    store_up_to<F32>(p, i, exp(sub(load_up_to<F32>(logits, i, count - i), set(top))), count - i);
  }
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += p[i];
  for (int64_t i = 0; i < count; i += kLanes) {
    store_up_to<F32>(p, i, div(load_up_to<F32>(p, i, count - i), set(sum)), count - i);
  }
}

// `candidate` comes before `best` although it stands behind it: strictly larger, NaN below every number.
bool beats(float candidate, float best) {
  if (candidate != candidate) return false;
  return best != best || candidate > best;
}

// Marks the top_k largest in `chosen` (a row of zeros), ties to the lowest id.
void choose(const float* logits, int64_t count, int64_t top_k, float* chosen) {
  for (int64_t k = 0; k < top_k; ++k) {
    int64_t best = -1;
    for (int64_t i = 0; i < count; ++i) {
      if (chosen[i] == 0 && (best < 0 || beats(logits[i], logits[best]))) best = i;
    }
    chosen[best] = 1;
  }
}

void route_row(const TopKArgs& args, int64_t row, float* p, float* chosen) {
  const float* logits = args.logits + row * args.experts;
  softmax_row(logits, args.experts, p);
  for (int64_t i = 0; i < args.experts; ++i) chosen[i] = 0;
  choose(logits, args.experts, args.top_k, chosen);
  int32_t* expert = args.expert + row * args.top_k;
  float* weight = args.weight + row * args.top_k;
  int64_t next = 0;
  float sum = 0;
  for (int64_t i = 0; i < args.experts; ++i) {
    if (chosen[i] == 0) continue;
    expert[next] = static_cast<int32_t>(i);
    weight[next++] = p[i];
    sum += p[i];
  }
  for (int64_t k = 0; k < args.top_k; ++k) {
    weight[k] = tandem::canonical(args.normalise ? weight[k] / sum : weight[k]);
  }
}

template <class T>
void swiglu_piece(const SwigluArgs& args, int64_t row, int64_t first, int64_t last, bool past) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(typename T::Element));
  const void* gate = at(args.gate, row * args.gate_row_bytes + first * kBytes);
  const void* up = at(args.up, row * args.up_row_bytes + first * kBytes);
  alignas(64) char buffer[kPiece * kBytes];
  const Out y(at(args.y, row * args.y_row_bytes + first * kBytes), buffer, past);
  const Vec one = set(1.0f);
  write_vectors<T>(y.data(), last - first, [=](int64_t i, auto span) __attribute__((always_inline)) {
    prefetch(at(gate, i * kBytes));
    prefetch(at(up, i * kBytes));
    const Vec v = load_span<T>(gate, i, span);
    const Vec silu = div(v, add(one, exp(neg(v))));
    return mul(silu, load_span<T>(up, i, span));
  });
  y.finish((last - first) * kBytes);
}

}  // namespace

void top_k(const TopKArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  Parts<float> buffers(lane, 2 * args.experts);
  const auto body = [&](int64_t begin, int64_t end) {
    float* buffer = buffers.claim();
    for (int64_t row = begin; row < end; ++row) route_row(args, row, buffer, buffer + args.experts);
  };
  lane.team->parallel_for(args.rows, grain_of(kExpWork * args.experts), body);
}

void swiglu(const SwigluArgs& args, Lane& lane) {
  const bool in_place = args.y == args.gate || args.y == args.up;
  const bool past = !in_place && past_caches(args.rows * args.n * element_bytes(args.dtype));
  for_pieces(args.rows, args.n, kExpWork, lane, [&](int64_t row, int64_t first, int64_t last) {
    with_float(args.dtype, [&]<class T>(T) { swiglu_piece<T>(args, row, first, last, past); });
  });
}

}  // namespace tandem::TANDEM_ISA
