// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/stream.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr int64_t kRowWork = 4;   // multiply-adds one element of a row is worth
constexpr int64_t kExpWork = 16;  // with an exp

// Prefetch distance: the row itself, its sums and two rows of results share L1, so nothing is fetched far ahead.
constexpr int64_t kAheadInRow = 1024;
constexpr int64_t kBlock = 256;
constexpr int kGroup = 16 / kLanes;

// sum over blocks by tree(), lanes of a block by tree(), of what body(i, lane) adds to each of the 16 lanes; body gets
// Whole or Some vectors, and columns without an element add nothing.
template <class Body>
TANDEM_INLINE float row_sum(int64_t n, const Body& body) {
  TreeSum sum;
  for (int64_t first = 0; first < n; first += kBlock) {
    Vec lanes[kGroup];
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) lanes[i] = set(0.0f);
    const int64_t last = min64(n, first + kBlock);
    int64_t c = first;
#pragma GCC unroll 2
    for (; c + 16 <= last; c += 16) {
#pragma GCC unroll 16
      for (int i = 0; i < kGroup; ++i) lanes[i] = body(c + i * kLanes, lanes[i], Whole());
    }
    if (c < last) {
#pragma GCC unroll 16
      for (int i = 0; i < kGroup; ++i) {
        const int64_t left = last - c - i * kLanes;
        if (left >= kLanes) {
          lanes[i] = body(c + i * kLanes, lanes[i], Whole());
        } else if (left > 0) {
          lanes[i] = body(c + i * kLanes, lanes[i], Some{left});
        }
      }
    }
    sum.push(set(tree16(lanes)));
  }
  return first_lane(sum.finish());
}

struct Slice {
  const void* x;
  const void* residual;
  void* y;
  float* values;  // y in f32
  void* norm;
  int64_t first, count;
};

// y = rd_T(x + residual) of one slice; the sum of its squares. f16 and f32 keep a NaN through the plain store, so that
// the sum tells whether the slice needs a second look; bf16 replaces it at once.
template <class T, class X, bool kAdd>
float add_slice(const Slice s) {
  const float squares = row_sum(s.count, [=](int64_t c, Vec lane, auto span) __attribute__((always_inline)) {
    const int64_t i = s.first + c;
    prefetch(at(s.x, i * static_cast<int64_t>(sizeof(typename X::Element))), kAheadInRow);
    Vec v = load_span<X>(s.x, i, span);
    if constexpr (kAdd) {
      prefetch(at(s.residual, i * static_cast<int64_t>(sizeof(typename T::Element))), kAheadInRow);
      v = add(v, load_span<T>(s.residual, i, span));
    }
    if constexpr (sizeof(span) == sizeof(Whole) && T::kKeepsNan) {
      T::store_number(s.y, i, v);
    } else {
      store_span<T>(s.y, i, v, span);
    }
    v = load_span<T>(s.y, i, span);  // rounded
    store_span<Plain>(s.values, i, v, span);
    return fma(v, v, lane);
  });
  if (squares != squares) [[unlikely]] {
    for_vectors(s.count, [=](int64_t c, auto span) __attribute__((always_inline)) {
      store_span<T>(s.y, s.first + c, load_span<T>(s.y, s.first + c, span), span);
    });
  }
  return squares;
}

// Gives rstd.
template <class T>
float norm_slice(const Slice s, const float* gamma, float squares, float epsilon) {
  const Vec inverse = div(set(1.0f), set(static_cast<float>(s.count)));
  const Vec mean = add(mul(set(squares), inverse), set(epsilon));
  const Vec rstd = div(set(1.0f), sqrt(mean));
  const float* values = s.values + s.first;
  write_vectors<T>(at(s.norm, s.first * static_cast<int64_t>(sizeof(typename T::Element))), s.count,
                   [=](int64_t c, auto span) __attribute__((always_inline)) {
                     return mul(mul(load_span<Plain>(values, c, span), rstd), load_span<Plain>(gamma, c, span));
                   });
  return tandem::canonical(first_lane(rstd));
}

// Buffers of one part: y in f32, then a row of y where it is not stored or goes past the caches, and one of norm.
template <class T, class X>
void norm_row(const AddRmsNormArgs& args, int64_t row, float* values, const float* gamma, bool past) {
  const int64_t bytes = args.n * static_cast<int64_t>(sizeof(typename T::Element)), stride = args.n + kPadding;
  float* buffer = values + stride;
  const Out y(args.y == nullptr ? buffer : at(args.y, row * args.y_row_bytes), buffer, past);
  const Out norm(at(args.norm, row * args.norm_row_bytes), buffer + stride, past && args.norm != nullptr);
  Slice s{args.x_rows != nullptr ? args.x_rows[row] : at(args.x, row * args.x_row_bytes),
          args.residual == nullptr ? nullptr : at(args.residual, row * args.residual_row_bytes),
          y.data(), values, norm.data(), 0, args.n / args.heads};
  for (; s.first < args.n; s.first += s.count) {
    const float squares = s.residual != nullptr ? add_slice<T, X, true>(s) : add_slice<T, X, false>(s);
    if (args.norm == nullptr) continue;
    const float rstd = norm_slice<T>(s, gamma, squares, args.epsilon);
    if (args.rstd != nullptr) args.rstd[row * args.heads + s.first / s.count] = rstd;
  }
  y.finish(bytes);
  if (args.norm != nullptr) norm.finish(bytes);
}

}  // namespace

void add_rms_norm(const AddRmsNormArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  Parts<float> buffers(lane, 3 * (args.n + kPadding));
  float* gamma = take<float>(*lane.scratch, args.n / args.heads);
  const bool past = args.y != args.x && args.y != args.residual && args.norm != args.x &&
                    past_caches(args.rows * args.n * element_bytes(args.dtype));
  with_float(args.dtype, [&]<class T>(T) {
    if (args.norm != nullptr) read_row<T>(args.gamma, 0, args.n / args.heads, gamma);
  });
  const auto body = [&](int64_t begin, int64_t end) {
    float* values = buffers.claim();
    with_float(args.dtype, [&]<class T>(T) {
      with_float(args.x_dtype, [&]<class X>(X) {
        for (int64_t row = begin; row < end; ++row) norm_row<T, X>(args, row, values, gamma, past);
      });
    });
    stream_fence();
  };
  lane.team->parallel_for(args.rows, grain_of(kRowWork * args.n), body);
}

namespace {

// exp(x - top) to e, and the sum of it in the order of row statistics.
template <class T>
float powers(const void* x, int64_t n, float* e) {
  Vec tops = set(-__builtin_inff());
  for_vectors(n, [&](int64_t i, auto span) __attribute__((always_inline)) {
    prefetch(at(x, i * static_cast<int64_t>(sizeof(typename T::Element))));
    if constexpr (sizeof(span) == sizeof(Whole)) {
      tops = at_least(tops, load_span<T>(x, i, span));
    } else {
      for (int64_t k = i; k < n; ++k) tops = at_least(tops, set(T::one(x, k)));
    }
  });
  const Vec top = set(greatest_lane(tops));
  for_vectors(n, [=](int64_t i, auto span) __attribute__((always_inline)) {
    store_span<Plain>(e, i, exp(sub(load_span<T>(x, i, span), top)), span);
  });
  return row_sum(n, [=](int64_t c, Vec lane_sum, auto span) __attribute__((always_inline)) {
    return add(lane_sum, load_span<Plain>(e, c, span));
  });
}

template <class T>
void softmax_row(const SoftmaxArgs& args, int64_t row, float* e, bool past) {
  const Out y(at(args.y, row * args.y_row_bytes), e + args.n + kPadding, past);
  const Vec sum = set(powers<T>(at(args.x, row * args.x_row_bytes), args.n, e));
  write_vectors<T>(y.data(), args.n, [=](int64_t i, auto span) __attribute__((always_inline)) {
    return div(load_span<Plain>(e, i, span), sum);
  });
  y.finish(args.n * static_cast<int64_t>(sizeof(typename T::Element)));
}

}  // namespace

void softmax(const SoftmaxArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  Parts<float> buffers(lane, 2 * (args.n + kPadding));
  const bool past = args.x != args.y && past_caches(args.rows * args.n * element_bytes(args.dtype));
  lane.team->parallel_for(args.rows, grain_of(kExpWork * args.n), [&](int64_t begin, int64_t end) {
    float* e = buffers.claim();
    with_float(args.dtype, [&]<class T>(T) {
      for (int64_t row = begin; row < end; ++row) softmax_row<T>(args, row, e, past);
    });
    stream_fence();
  });
}

}  // namespace tandem::TANDEM_ISA
