// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/half.h"
#include "tandem/base/int4.h"
#include "tandem/kernels/cpu/isa.h"

// The vector vocabulary without instruction sets: compiler vectors of four floats.
namespace tandem::TANDEM_ISA {

inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 7;   // that are left beside the temporaries of a product in software
inline constexpr int kFmaInFlight = 4;
inline constexpr int kTileRows = 2;   // rows and vectors of the register tile of a product
inline constexpr int kTileVecs = 2;

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t VecI __attribute__((vector_size(16)));

namespace detail {

typedef float Float2 __attribute__((vector_size(8)));
typedef double Double2 __attribute__((vector_size(16)));
typedef int64_t Long2 __attribute__((vector_size(16)));
typedef uint64_t Ulong2 __attribute__((vector_size(16)));

// Exact fused multiply-add: the product is exact in f64, two-sum gives the exact error of the addition, and rounding the
// sum to odd makes the final conversion the only rounding. With Inf or NaN the error compares false and nothing moves.
TANDEM_INLINE Float2 fma2(Float2 a, Float2 b, Float2 c) {
  const Double2 product = __builtin_convertvector(a, Double2) * __builtin_convertvector(b, Double2);
  const Double2 addend = __builtin_convertvector(c, Double2);
  const Double2 sum = product + addend;
  const Double2 part = sum - product;
  const Double2 error = (product - (sum - part)) + (addend - part);
  const Ulong2 inexact = reinterpret_cast<Ulong2>(error > 0.0) | reinterpret_cast<Ulong2>(error < 0.0);
  const Ulong2 bits = reinterpret_cast<Ulong2>(sum);
  const Ulong2 step = inexact & ~bits & 1u;
  const Ulong2 inward = (bits ^ reinterpret_cast<Ulong2>(error)) >> 63;
  const Ulong2 odd = bits + step - ((step & inward) << 1);
  return __builtin_convertvector(reinterpret_cast<Double2>(odd), Float2);
}

}  // namespace detail

TANDEM_INLINE Vec load(const float* from) {
  Vec v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
TANDEM_INLINE void store(float* to, Vec v) { __builtin_memcpy(to, &v, sizeof v); }
TANDEM_INLINE Vec set(float value) { return Vec{value, value, value, value}; }
TANDEM_INLINE Vec add(Vec a, Vec b) { return a + b; }
TANDEM_INLINE Vec sub(Vec a, Vec b) { return a - b; }
TANDEM_INLINE Vec mul(Vec a, Vec b) { return a * b; }
TANDEM_INLINE Vec div(Vec a, Vec b) { return a / b; }
TANDEM_INLINE Vec neg(Vec a) { return -a; }
TANDEM_INLINE Vec sqrt(Vec a) {
  return Vec{__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
}
TANDEM_INLINE Vec fma(Vec a, Vec b, Vec c) {
  const detail::Float2 low = detail::fma2(__builtin_shufflevector(a, a, 0, 1), __builtin_shufflevector(b, b, 0, 1),
                                          __builtin_shufflevector(c, c, 0, 1));
  const detail::Float2 high = detail::fma2(__builtin_shufflevector(a, a, 2, 3), __builtin_shufflevector(b, b, 2, 3),
                                           __builtin_shufflevector(c, c, 2, 3));
  return __builtin_shufflevector(low, high, 0, 1, 2, 3);
}
TANDEM_INLINE VecI bits_of(Vec v) { return reinterpret_cast<VecI>(v); }
TANDEM_INLINE Vec from_bits(VecI v) { return reinterpret_cast<Vec>(v); }
TANDEM_INLINE Vec select(VecI mask, Vec yes, Vec no) {
  return from_bits((bits_of(yes) & mask) | (bits_of(no) & ~mask));
}
// The limit where v lies beyond it; NaN stays.
TANDEM_INLINE Vec at_most(Vec v, Vec limit) { return select(v > limit, limit, v); }
TANDEM_INLINE Vec at_least(Vec v, Vec limit) { return select(v < limit, limit, v); }
TANDEM_INLINE Vec if_greater(Vec a, Vec b, Vec yes, Vec no) { return select(a > b, yes, no); }
TANDEM_INLINE Vec if_equal(Vec a, Vec b, Vec yes, Vec no) { return select(a == b, yes, no); }
TANDEM_INLINE Vec zero_nan(Vec v) { return from_bits(bits_of(v) & (v == v)); }
TANDEM_INLINE Vec canonical(Vec v) { return select(v == v, v, set(tandem::float_from_bits(0x7fc00000u))); }

TANDEM_INLINE VecI set_i(int32_t value) { return VecI{value, value, value, value}; }
typedef uint32_t VecU __attribute__((vector_size(16)));  // integers wrap
TANDEM_INLINE VecI add_i(VecI a, VecI b) {
  return reinterpret_cast<VecI>(reinterpret_cast<VecU>(a) + reinterpret_cast<VecU>(b));
}
TANDEM_INLINE VecI sub_i(VecI a, VecI b) {
  return reinterpret_cast<VecI>(reinterpret_cast<VecU>(a) - reinterpret_cast<VecU>(b));
}
TANDEM_INLINE VecI or_i(VecI a, VecI b) { return a | b; }
template <int kBits>
TANDEM_INLINE VecI shift_left(VecI a) { return a << kBits; }
template <int kBits>
TANDEM_INLINE VecI shift_right(VecI a) { return a >> kBits; }
TANDEM_INLINE Vec to_f32(VecI v) { return __builtin_convertvector(v, Vec); }
TANDEM_INLINE VecI load_i(const int32_t* from) {
  VecI v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
TANDEM_INLINE void store_i(int32_t* to, VecI v) { __builtin_memcpy(to, &v, sizeof v); }
// (a & mask) ^ flip, for picking a field of bits into a pattern.
TANDEM_INLINE VecI and_xor(VecI a, VecI mask, VecI flip) { return (a & mask) ^ flip; }

TANDEM_INLINE VecI and_i(VecI a, VecI b) { return a & b; }
TANDEM_INLINE VecI mul_i(VecI a, VecI b) {
  return reinterpret_cast<VecI>(reinterpret_cast<VecU>(a) * reinterpret_cast<VecU>(b));
}
TANDEM_INLINE VecI max_i(VecI a, VecI b) { return (a & (a > b)) | (b & ~(a > b)); }
TANDEM_INLINE VecI min_i(VecI a, VecI b) { return (a & (a < b)) | (b & ~(a < b)); }
// Nearest integer, halves to even; |v| < 2^22.
TANDEM_INLINE VecI round_i(Vec v) { return bits_of(v + 0x1.8p23f) - bits_of(set(0x1.8p23f)); }
// 4 * kLanes int8; every value fits.
TANDEM_INLINE void store_i8x4(int8_t* to, VecI a, VecI b, VecI c, VecI d) {
  for (int i = 0; i < kLanes; ++i) {
    to[i] = static_cast<int8_t>(a[i]);
    to[kLanes + i] = static_cast<int8_t>(b[i]);
    to[2 * kLanes + i] = static_cast<int8_t>(c[i]);
    to[3 * kLanes + i] = static_cast<int8_t>(d[i]);
  }
}
// round_i of four vectors, saturated to int8, NaN as 0.
template <bool kPast>
TANDEM_INLINE void store_sat_i8x4(int8_t* to, Vec a, Vec b, Vec c, Vec d) {
  const Vec most = set(127.0f), least = set(-128.0f);
  a = zero_nan(at_least(at_most(a, most), least)), b = zero_nan(at_least(at_most(b, most), least));
  c = zero_nan(at_least(at_most(c, most), least)), d = zero_nan(at_least(at_most(d, most), least));
  store_i8x4(to, round_i(a), round_i(b), round_i(c), round_i(d));
}
TANDEM_INLINE bool any_nan(Vec a, Vec b, Vec c, Vec d) {
  const VecI numbers = (a == a) & (b == b) & (c == c) & (d == d);
  return (numbers[0] & numbers[1] & numbers[2] & numbers[3]) == 0;
}
// Every even lane with the odd one beside it.
TANDEM_INLINE Vec swap_pairs(Vec v) { return __builtin_shufflevector(v, v, 1, 0, 3, 2); }
TANDEM_INLINE float first_lane(Vec v) { return v[0]; }
// tree() over the lanes, in every lane.
TANDEM_INLINE Vec tree_lanes(Vec v) {
  v = v + __builtin_shufflevector(v, v, 1, 0, 3, 2);
  return v + __builtin_shufflevector(v, v, 2, 3, 0, 1);
}
// Lane q of each block of four: tree() over that block of the q-th vector.
TANDEM_INLINE Vec quad_sums(Vec a, Vec b, Vec c, Vec d) {
  const Vec ab = __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
  const Vec cd = __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}
// to[q] = tree of the four blocks' lanes q.
TANDEM_INLINE void tree_of_quads(const float* blocks, float* to) {
  store(to, (load(blocks) + load(blocks + 4)) + (load(blocks + 8) + load(blocks + 12)));
}
// sum[q] += p[4 t + q] in rising t.
TANDEM_INLINE void add_quads(const float* p, int64_t count, float* sum) {
  Vec total = load(sum);
  for (int64_t t = 0; t < count; ++t) total += load(p + 4 * t);
  store(sum, total);
}
// Past the caches where the set can; `to` on a whole vector. stream_fence() before another thread reads it.
TANDEM_INLINE void stream(float* to, Vec v) { store(to, v); }
TANDEM_INLINE void stream_fence() {}

// acc + a.low16 * b.low16 + a.high16 * b.high16 in every 32-bit lane.
TANDEM_INLINE VecI dot2(VecI acc, VecI a, VecI b) {
  return acc + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
}

// a in the low, b in the high half of every lane; both fit 16 bits.
TANDEM_INLINE VecI pair16(VecI a, VecI b) { return (a & 0xffff) | (b << 16); }

TANDEM_INLINE VecI load_words8(const void* p, int part) {
  VecI v;
  __builtin_memcpy(&v, static_cast<const char*>(p) + part * 16, sizeof v);
  return v;
}
// words[i][lane] = word i of the 16 bytes at from[lane] + place.
TANDEM_INLINE void load_turned(const char* const* from, int64_t place, VecI* words) {
  for (int i = 0; i < 4; ++i) {
    for (int lane = 0; lane < kLanes; ++lane) {
      int32_t word = 0;
      __builtin_memcpy(&word, from[lane] + place + 4 * i, sizeof word);
      words[i][lane] = word;
    }
  }
}
TANDEM_INLINE VecI halves_i(int32_t low, int32_t high) { return VecI{low, low, high, high}; }

TANDEM_INLINE Vec load_f16(const f16* p) {
  return Vec{tandem::to_float(p[0]), tandem::to_float(p[1]), tandem::to_float(p[2]), tandem::to_float(p[3])};
}
TANDEM_INLINE Vec load_bf16(const bf16* p) {
  return from_bits(VecI{p[0].bits, p[1].bits, p[2].bits, p[3].bits} << 16);
}
TANDEM_INLINE VecI load_i8(const int8_t* p) { return VecI{p[0], p[1], p[2], p[3]}; }
// Elements index.. of a packed nibble stream; index may be odd.
TANDEM_INLINE Vec load_i4(const uint8_t* base, int64_t index) {
  return to_f32(VecI{tandem::int4_get(base, index), tandem::int4_get(base, index + 1),
                     tandem::int4_get(base, index + 2), tandem::int4_get(base, index + 3)});
}
TANDEM_INLINE void store_f16(f16* to, Vec v) {
  for (int i = 0; i < kLanes; ++i) to[i] = tandem::to_f16(v[i]);
}
TANDEM_INLINE void store_bf16(bf16* to, Vec v) {
  for (int i = 0; i < kLanes; ++i) to[i] = tandem::to_bf16(v[i]);
}

TANDEM_INLINE void store_f16_number(f16* to, Vec v) { store_f16(to, v); }
TANDEM_INLINE void store_bf16_number(bf16* to, Vec v) { store_bf16(to, v); }

// out[i][j] = in[j][i] for 4 x 4 floats.
TANDEM_INLINE void transpose4x4(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  const Vec a = load(in), b = load(in + in_stride), c = load(in + 2 * in_stride), d = load(in + 3 * in_stride);
  const Vec ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Vec cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store(out, __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5));
  store(out + out_stride, __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7));
  store(out + 2 * out_stride, __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5));
  store(out + 3 * out_stride, __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7));
}

template <class V>
TANDEM_INLINE void keep_in_register(V&) {}

}  // namespace tandem::TANDEM_ISA
