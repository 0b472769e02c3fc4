// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/stream.h"

namespace tandem::TANDEM_ISA {
namespace {

// Pairs (first + i, first + distance + i) for i < count.
template <class T>
void rotate_apart(void* x, int64_t first, int64_t distance, int64_t count, const float* cosine, const float* sine) {
  const auto turn = [=](int64_t i, Vec& low, Vec& high, auto span) __attribute__((always_inline)) {
    const Vec a = load_span<T>(x, first + i, span), b = load_span<T>(x, first + distance + i, span);
    const Vec c = load_span<Plain>(cosine, i, span), s = load_span<Plain>(sine, i, span);
    low = fma(a, c, neg(mul(b, s)));
    high = fma(b, c, mul(a, s));
  };
  Vec low, high, low2, high2;
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    prefetch(at(x, (first + i) * static_cast<int64_t>(sizeof(typename T::Element))));
    prefetch(at(x, (first + distance + i) * static_cast<int64_t>(sizeof(typename T::Element))));
    turn(i, low, high, Whole());
    turn(i + kLanes, low2, high2, Whole());
    const int64_t a = first + i, b = a + distance;
    store4<T>(x, a, low, b, high, a + kLanes, low2, b + kLanes, high2);
  }
  for (; i < count; i += kLanes) {
    const Some some{min64(kLanes, count - i)};
    turn(i, low, high, some);
    store_tail<T>(x, first + i, low, some.count);
    store_tail<T>(x, first + distance + i, high, some.count);
  }
}

// Pairs of neighbours: every lane is fma(x, cos, neighbour * sin) with the sign in the sine.
template <class T>
void rotate_neighbours(void* x, int64_t first, int64_t count, const float* cosine, const float* sine) {
  void* head = at(x, first * static_cast<int64_t>(sizeof(typename T::Element)));
  write_vectors<T>(head, count, [=](int64_t i, auto span) __attribute__((always_inline)) {
    prefetch(at(head, i * static_cast<int64_t>(sizeof(typename T::Element))));
    const Vec v = load_span<T>(head, i, span);
    return fma(v, load_span<Plain>(cosine, i, span), mul(swap_pairs(v), load_span<Plain>(sine, i, span)));
  });
}

template <class T>
void rotate_row(const RopeArgs& args, int64_t row, float* twice) {
  const int64_t dim = args.head_dim, half = dim / 2, quarter = dim / 4;
  const float* cosine = args.cos + args.positions[row] * half;
  const float* sine = args.sin + args.positions[row] * half;
  void* x = at(args.x, row * args.row_bytes);
  for (int64_t i = 0; i < half && args.form == RopeForm::interleave; ++i) {
    twice[2 * i] = twice[2 * i + 1] = cosine[i];
    twice[dim + 2 * i] = -sine[i], twice[dim + 2 * i + 1] = sine[i];
  }
  for (int64_t first = 0; first < args.heads * dim; first += dim) {
    switch (args.form) {
      case RopeForm::half: rotate_apart<T>(x, first, half, half, cosine, sine); break;
      case RopeForm::interleave: rotate_neighbours<T>(x, first, dim, twice, twice + dim); break;
      case RopeForm::quarter:
        rotate_apart<T>(x, first, quarter, quarter, cosine, sine);
        rotate_apart<T>(x, first + half, quarter, quarter, cosine + quarter, sine + quarter);
        break;
    }
  }
}

}  // namespace

void rope(const RopeArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  Parts<float> buffers(lane, 2 * args.head_dim);
  lane.team->parallel_for(args.rows, grain_of(args.heads * args.head_dim), [&](int64_t begin, int64_t end) {
    float* twice = buffers.claim();
    with_float(args.dtype, [&]<class T>(T) {
      for (int64_t row = begin; row < end; ++row) rotate_row<T>(args, row, twice);
    });
  });
}

}  // namespace tandem::TANDEM_ISA
