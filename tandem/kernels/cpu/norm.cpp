// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/rows.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr int64_t kRowWork = 4;  // multiply-adds one element of a row is worth

constexpr int64_t kBlock = 256;
constexpr int kGroup = 16 / kLanes;

// One block of at most 256 columns over 16 virtual lanes. Lanes without an element add +0 to a sum of squares.
float block_squares(const float* values, int64_t count) {
  Vec lanes[kGroup];
#pragma GCC unroll 16
  for (int i = 0; i < kGroup; ++i) lanes[i] = set(0.0f);
  for (int64_t first = 0; first < count; first += 16) {
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) {
      const int64_t left = count - first - i * kLanes;
      const Vec v = left >= kLanes ? load(values + first + i * kLanes) : load_some(values + first + i * kLanes, left);
      lanes[i] = fma(v, v, lanes[i]);
    }
  }
  return tree16(lanes);
}

float reciprocal_rms(const float* values, int64_t count, float epsilon) {
  TreeSum sum;
  for (int64_t first = 0; first < count; first += kBlock) {
    sum.push(set(block_squares(values + first, min64(kBlock, count - first))));
  }
  const Vec inverse = div(set(1.0f), set(static_cast<float>(count)));
  const Vec mean = add(mul(sum.finish(), inverse), set(epsilon));
  return first_lane(div(set(1.0f), sqrt(mean)));
}

// values = rd_T(x + residual), also to y where wanted.
template <class T, class X>
void add_row(const AddRmsNormArgs& args, int64_t row, float* values) {
  const void* x = args.x_rows != nullptr ? args.x_rows[row] : at(args.x, row * args.x_row_bytes);
  const void* residual = args.residual == nullptr ? nullptr : at(args.residual, row * args.residual_row_bytes);
  void* y = args.y == nullptr ? nullptr : at(args.y, row * args.y_row_bytes);
  alignas(64) float rounded[kLanes];
  for (int64_t i = 0; i < args.n; i += kLanes) {
    const int64_t count = min64(kLanes, args.n - i);
    Vec v = load_up_to<X>(x, i, count);
    if (residual != nullptr) v = add(v, load_up_to<T>(residual, i, count));
    T::store(rounded, 0, v);
    if (y != nullptr) store_up_to<T>(y, i, v, count);
    v = T::load(rounded, 0);
    if (count == kLanes) {
      store(values + i, v);
    } else {
      store_some(values + i, v, count);
    }
  }
}

template <class T>
void norm_row(const AddRmsNormArgs& args, int64_t row, const float* values) {
  const int64_t count = args.n / args.heads;
  void* to = at(args.norm, row * args.norm_row_bytes);
  for (int64_t head = 0; head < args.heads; ++head) {
    const float* slice = values + head * count;
    const Vec rstd = set(reciprocal_rms(slice, count, args.epsilon));
    for (int64_t i = 0; i < count; i += kLanes) {
      const int64_t part = min64(kLanes, count - i);
      const Vec v = part == kLanes ? load(slice + i) : load_some(slice + i, part);
      store_up_to<T>(to, head * count + i, mul(mul(v, rstd), load_up_to<T>(args.gamma, i, part)), part);
    }
  }
}

}  // namespace

void add_rms_norm(const AddRmsNormArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  Parts<float> buffers(lane, args.n);
  const auto body = [&](int64_t begin, int64_t end) {
    float* values = buffers.claim();
    for (int64_t row = begin; row < end; ++row) {
      with_float(args.dtype, [&]<class T>(T) {
        with_float(args.x_dtype, [&]<class X>(X) { add_row<T, X>(args, row, values); });
        if (args.norm != nullptr) norm_row<T>(args, row, values);
      });
    }
  };
  lane.team->parallel_for(args.rows, grain_of(kRowWork * args.n), body);
}

}  // namespace tandem::TANDEM_ISA
