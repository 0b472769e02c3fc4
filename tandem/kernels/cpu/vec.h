// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/kernels/cpu/isa.h"
#if defined(TANDEM_ISA_IS_portable)
#include "tandem/kernels/cpu/vec_portable.h"
#else
#include "tandem/kernels/cpu/vec_highway.h"
#endif

// What is built on the vocabulary and is the same code in every table.
namespace tandem::TANDEM_ISA {

static_assert(16 % kLanes == 0, "panels and virtual lanes are 16 wide");

inline constexpr float kNan = __builtin_nanf("");
// q(r) of exp(): (e^r - 1 - r) / r^2 interpolated at the Chebyshev nodes of [-ln 2 / 2, ln 2 / 2].
inline constexpr float kExp[5] = {0x1p-1f, 0x1.5554dep-3f, 0x1.55551ap-5f, 0x1.120b62p-7f, 0x1.6d10fcp-10f};

// Never a library call, whatever the optimiser makes of it.
TANDEM_INLINE float max_nan(float a, float b) {
  if (a != a || b != b) return kNan;
  if (a == b) return (tandem::float_bits(a) >> 31) != 0 ? b : a;
  return a > b ? a : b;
}
TANDEM_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
TANDEM_INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

// Maximum and minimum: NaN wins, -0 < +0.
TANDEM_INLINE Vec greater_of(Vec a, Vec b) {
  const Vec same = if_equal(a, b, from_bits(and_i(bits_of(a), bits_of(b))), add(a, b));  // NaN where unordered
  return if_greater(a, b, a, if_greater(b, a, b, same));
}
TANDEM_INLINE Vec lesser_of(Vec a, Vec b) {
  const Vec same = if_equal(a, b, from_bits(or_i(bits_of(a), bits_of(b))), add(a, b));
  return if_greater(a, b, b, if_greater(b, a, a, same));
}

// The greatest lane; NaN and the sign of a zero do not count.
TANDEM_INLINE float greatest_lane(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  float top = lanes[0];
  for (int i = 1; i < kLanes; ++i) top = lanes[i] > top || top != top ? lanes[i] : top;
  return top;
}

TANDEM_INLINE int32_t greatest_lane_i(VecI v) {
  int32_t lanes[kLanes];
  store_i(lanes, v);
  int32_t top = lanes[0];
  for (int i = 1; i < kLanes; ++i) top = lanes[i] > top ? lanes[i] : top;
  return top;
}

// First `count` floats, zeros behind them.
TANDEM_INLINE Vec load_some(const float* from, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load(lanes);
}
TANDEM_INLINE void store_some(float* to, Vec v, int64_t count) {
  float lanes[kLanes];
  store(lanes, v);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
}

// e^x: n = round(x / ln 2), r = x - n ln 2 in two fused steps, e^r = 1 + (r + r^2 q(r)), then two factors 2^(n/2), so
// that the last one rounds a subnormal result once. 0 gives 1, -inf gives 0, +inf and overflow give inf, NaN stays.
TANDEM_INLINE Vec exp(Vec x) {
  x = at_least(at_most(x, set(89.0f)), set(-104.0f));
  const Vec magic = set(0x1.8p23f);
  const Vec shifted = fma(x, set(0x1.715476p+0f), magic);
  const Vec n = sub(shifted, magic);
  Vec r = fma(n, set(-0x1.62e43p-1f), x);
  r = fma(n, set(0x1.05c61p-29f), r);
  Vec q = fma(set(kExp[4]), r, set(kExp[3]));
  q = fma(q, r, set(kExp[2]));
  q = fma(q, r, set(kExp[1]));
  q = fma(q, r, set(kExp[0]));
  const Vec power = add(fma(q, mul(r, r), r), set(1.0f));
  const VecI whole = sub_i(bits_of(shifted), bits_of(magic));
  const VecI half = shift_right<1>(whole);
  const Vec first = from_bits(shift_left<23>(add_i(half, set_i(127))));
  const Vec second = from_bits(shift_left<23>(add_i(sub_i(whole, half), set_i(127))));
  return mul(mul(power, first), second);
}
TANDEM_INLINE float exp_one(float x) { return first_lane(exp(set(x))); }

// tree(v0..vn-1) fed in order: a binary counter of partial sums.
class TreeSum {
 public:
  TANDEM_INLINE void push(Vec v) {
    uint64_t carry = count_++;
    while ((carry & 1) != 0) {
      v = add(sums_[--depth_], v);
      carry >>= 1;
    }
    sums_[depth_++] = v;
  }
  TANDEM_INLINE Vec finish() {
    Vec v = sums_[--depth_];
    while (depth_ > 0) v = add(sums_[--depth_], v);
    return v;
  }

 private:
  Vec sums_[40];
  uint64_t count_ = 0;
  int depth_ = 0;
};

// tree() over 16 lanes held in 16 / kLanes vectors.
TANDEM_INLINE float tree16(const Vec* vectors) {
  Vec sums[16 / kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < 16 / kLanes; ++i) sums[i] = tree_lanes(vectors[i]);
#pragma GCC unroll 4
  for (int width = 16 / kLanes; width > 1; width /= 2) {
#pragma GCC unroll 4
    for (int i = 0; i < width / 2; ++i) sums[i] = add(sums[2 * i], sums[2 * i + 1]);
  }
  return first_lane(sums[0]);
}

}  // namespace tandem::TANDEM_ISA
