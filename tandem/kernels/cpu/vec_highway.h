// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/half.h"
#include "tandem/kernels/cpu/isa.h"

// The vector vocabulary over Highway's static target.
namespace tandem::TANDEM_ISA {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3
using Tag = hn::Full512<float>;
inline constexpr int kTileRows = 6;  // rows and vectors of the register tile of a product
inline constexpr int kTileVecs = 4;
#elif HWY_TARGET == HWY_AVX2
using Tag = hn::Full256<float>;
inline constexpr int kTileRows = 6;
inline constexpr int kTileVecs = 2;
#else
using Tag = hn::Full128<float>;
inline constexpr int kTileRows = 6;
inline constexpr int kTileVecs = 4;
#endif
using TagI = hn::Rebind<int32_t, Tag>;
using Vec = hn::Vec<Tag>;
using VecI = hn::Vec<TagI>;
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag()));
inline constexpr int kRegisters = HWY_TARGET == HWY_AVX2 ? 16 : 32;  // vector registers of the instruction set
inline constexpr int kFmaInFlight = 8;  // latency of a fused multiply-add (4) by units (2)

TANDEM_INLINE Vec load(const float* from) { return hn::LoadU(Tag(), from); }
TANDEM_INLINE void store(float* to, Vec v) { hn::StoreU(v, Tag(), to); }
TANDEM_INLINE Vec set(float value) { return hn::Set(Tag(), value); }
TANDEM_INLINE Vec add(Vec a, Vec b) { return hn::Add(a, b); }
TANDEM_INLINE Vec sub(Vec a, Vec b) { return hn::Sub(a, b); }
TANDEM_INLINE Vec mul(Vec a, Vec b) { return hn::Mul(a, b); }
TANDEM_INLINE Vec div(Vec a, Vec b) { return hn::Div(a, b); }
TANDEM_INLINE Vec neg(Vec a) { return hn::Neg(a); }
TANDEM_INLINE Vec sqrt(Vec a) { return hn::Sqrt(a); }
TANDEM_INLINE Vec fma(Vec a, Vec b, Vec c) { return hn::MulAdd(a, b, c); }
TANDEM_INLINE VecI bits_of(Vec v) { return hn::BitCast(TagI(), v); }
TANDEM_INLINE Vec from_bits(VecI v) { return hn::BitCast(Tag(), v); }
// The limit where v lies beyond it; NaN stays.
#if HWY_TARGET == HWY_AVX3
TANDEM_INLINE Vec at_most(Vec v, Vec limit) { return Vec{_mm512_min_ps(limit.raw, v.raw)}; }
TANDEM_INLINE Vec at_least(Vec v, Vec limit) { return Vec{_mm512_max_ps(limit.raw, v.raw)}; }
#elif HWY_TARGET == HWY_AVX2
TANDEM_INLINE Vec at_most(Vec v, Vec limit) { return Vec{_mm256_min_ps(limit.raw, v.raw)}; }
TANDEM_INLINE Vec at_least(Vec v, Vec limit) { return Vec{_mm256_max_ps(limit.raw, v.raw)}; }
#else
TANDEM_INLINE Vec at_most(Vec v, Vec limit) { return hn::IfThenElse(hn::Gt(v, limit), limit, v); }
TANDEM_INLINE Vec at_least(Vec v, Vec limit) { return hn::IfThenElse(hn::Lt(v, limit), limit, v); }
#endif
TANDEM_INLINE Vec if_greater(Vec a, Vec b, Vec yes, Vec no) { return hn::IfThenElse(hn::Gt(a, b), yes, no); }
TANDEM_INLINE Vec if_equal(Vec a, Vec b, Vec yes, Vec no) { return hn::IfThenElse(hn::Eq(a, b), yes, no); }
TANDEM_INLINE Vec zero_nan(Vec v) { return hn::IfThenElseZero(hn::Eq(v, v), v); }
TANDEM_INLINE Vec canonical(Vec v) {
  return hn::IfThenElse(hn::Eq(v, v), v, set(tandem::float_from_bits(0x7fc00000u)));
}

TANDEM_INLINE VecI set_i(int32_t value) { return hn::Set(TagI(), value); }
TANDEM_INLINE VecI add_i(VecI a, VecI b) { return hn::Add(a, b); }
TANDEM_INLINE VecI sub_i(VecI a, VecI b) { return hn::Sub(a, b); }
TANDEM_INLINE VecI or_i(VecI a, VecI b) { return hn::Or(a, b); }
template <int kBits>
TANDEM_INLINE VecI shift_left(VecI a) { return hn::ShiftLeft<kBits>(a); }
template <int kBits>
TANDEM_INLINE VecI shift_right(VecI a) { return hn::ShiftRight<kBits>(a); }
TANDEM_INLINE Vec to_f32(VecI v) { return hn::ConvertTo(Tag(), v); }
TANDEM_INLINE VecI load_i(const int32_t* from) { return hn::LoadU(TagI(), from); }
TANDEM_INLINE void store_i(int32_t* to, VecI v) { hn::StoreU(v, TagI(), to); }

// (a & mask) ^ flip, for picking a field of bits into a pattern.
TANDEM_INLINE VecI and_xor(VecI a, VecI mask, VecI flip) {
#if HWY_TARGET == HWY_AVX3
  return VecI{_mm512_ternarylogic_epi32(a.raw, mask.raw, flip.raw, 0x6a)};
#else
  return hn::Xor(hn::And(a, mask), flip);
#endif
}

// Eight words, twice side by side where a vector holds sixteen, each turned left by its count.
#if HWY_TARGET == HWY_AVX3
TANDEM_INLINE VecI load_words_twice(const void* from, VecI turns) {
  const __m512i words = _mm512_broadcast_i64x4(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
  return VecI{_mm512_rolv_epi32(words, turns.raw)};
}
#endif

TANDEM_INLINE VecI and_i(VecI a, VecI b) { return hn::And(a, b); }
TANDEM_INLINE VecI mul_i(VecI a, VecI b) { return hn::Mul(a, b); }
TANDEM_INLINE VecI max_i(VecI a, VecI b) { return hn::Max(a, b); }
TANDEM_INLINE VecI min_i(VecI a, VecI b) { return hn::Min(a, b); }
// Nearest integer, halves to even; |v| < 2^22.
TANDEM_INLINE VecI round_i(Vec v) {
#if HWY_TARGET == HWY_AVX3
  return VecI{_mm512_cvtps_epi32(v.raw)};
#elif HWY_TARGET == HWY_AVX2
  return VecI{_mm256_cvtps_epi32(v.raw)};
#else
  return hn::NearestInt(v);
#endif
}
// 4 * kLanes int8; every value fits.
TANDEM_INLINE void store_i8x4(int8_t* to, VecI a, VecI b, VecI c, VecI d) {
#if HWY_TARGET == HWY_AVX3
  const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(a.raw, b.raw), _mm512_packs_epi32(c.raw, d.raw));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, bytes));
#elif HWY_TARGET == HWY_AVX2
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a.raw, b.raw), _mm256_packs_epi32(c.raw, d.raw));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(bytes, order));
#else
  const hn::Rebind<int8_t, Tag> tag;
  hn::StoreU(hn::DemoteTo(tag, a), tag, to);
  hn::StoreU(hn::DemoteTo(tag, b), tag, to + kLanes);
  hn::StoreU(hn::DemoteTo(tag, c), tag, to + 2 * kLanes);
  hn::StoreU(hn::DemoteTo(tag, d), tag, to + 3 * kLanes);
#endif
}
// round_i of four vectors, saturated to int8, NaN as 0; kPast: past the caches, `to` on a whole vector.
template <bool kPast>
TANDEM_INLINE void store_sat_i8x4(int8_t* to, Vec a, Vec b, Vec c, Vec d) {
#if HWY_TARGET == HWY_AVX3
  // NaN and what is beyond 32 bits become the least integer; the packs saturate the others.
  const __m512i low = _mm512_packs_epi32(_mm512_cvtps_epi32(a.raw), _mm512_cvtps_epi32(b.raw));
  const __m512i high = _mm512_packs_epi32(_mm512_cvtps_epi32(c.raw), _mm512_cvtps_epi32(d.raw));
  const __m512i least = _mm512_set1_epi16(-32768);
  if ((_mm512_cmpeq_epi16_mask(low, least) | _mm512_cmpeq_epi16_mask(high, least)) == 0) [[likely]] {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
    if constexpr (kPast) _mm512_stream_si512(reinterpret_cast<__m512i*>(to), bytes);
    if constexpr (!kPast) _mm512_storeu_si512(to, bytes);
    return;
  }
#elif HWY_TARGET == HWY_AVX2
  const __m256i low = _mm256_packs_epi32(_mm256_cvtps_epi32(a.raw), _mm256_cvtps_epi32(b.raw));
  const __m256i high = _mm256_packs_epi32(_mm256_cvtps_epi32(c.raw), _mm256_cvtps_epi32(d.raw));
  const __m256i least = _mm256_set1_epi16(-32768);
  const __m256i seen = _mm256_or_si256(_mm256_cmpeq_epi16(low, least), _mm256_cmpeq_epi16(high, least));
  if (_mm256_testz_si256(seen, seen) != 0) [[likely]] {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    if constexpr (kPast) _mm256_stream_si256(reinterpret_cast<__m256i*>(to), bytes);
    if constexpr (!kPast) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
    return;
  }
#endif
  const Vec most = set(127.0f), least_value = set(-128.0f);
  a = zero_nan(at_least(at_most(a, most), least_value)), b = zero_nan(at_least(at_most(b, most), least_value));
  c = zero_nan(at_least(at_most(c, most), least_value)), d = zero_nan(at_least(at_most(d, most), least_value));
  store_i8x4(to, round_i(a), round_i(b), round_i(c), round_i(d));
}
TANDEM_INLINE bool any_nan(Vec a, Vec b, Vec c, Vec d) {
#if HWY_TARGET == HWY_AVX3
  return (_mm512_cmp_ps_mask(a.raw, b.raw, _CMP_UNORD_Q) | _mm512_cmp_ps_mask(c.raw, d.raw, _CMP_UNORD_Q)) != 0;
#elif HWY_TARGET == HWY_AVX2
  return _mm256_movemask_ps(_mm256_or_ps(_mm256_cmp_ps(a.raw, b.raw, _CMP_UNORD_Q),
                                         _mm256_cmp_ps(c.raw, d.raw, _CMP_UNORD_Q))) != 0;
#else
  const auto ab = hn::And(hn::Eq(a, a), hn::Eq(b, b)), cd = hn::And(hn::Eq(c, c), hn::Eq(d, d));
  return !hn::AllTrue(Tag(), hn::And(ab, cd));
#endif
}
// Every even lane with the odd one beside it.
TANDEM_INLINE Vec swap_pairs(Vec v) { return hn::Shuffle2301(v); }
TANDEM_INLINE float first_lane(Vec v) { return hn::GetLane(v); }
// tree() over the lanes, in every lane.
TANDEM_INLINE Vec tree_lanes(Vec v) {
  v = hn::Add(v, hn::Shuffle2301(v));
  v = hn::Add(v, hn::Shuffle1032(v));
#if HWY_TARGET == HWY_AVX3
  v = hn::Add(v, Vec{_mm512_shuffle_f32x4(v.raw, v.raw, 0xb1)});
  v = hn::Add(v, Vec{_mm512_shuffle_f32x4(v.raw, v.raw, 0x4e)});
#elif HWY_TARGET == HWY_AVX2
  v = hn::Add(v, Vec{_mm256_permute2f128_ps(v.raw, v.raw, 1)});
#endif
  return v;
}
// Lane q of each block of four: tree() over that block of the q-th vector.
TANDEM_INLINE Vec quad_sums(Vec a, Vec b, Vec c, Vec d) {
  const hn::RepartitionToWide<Tag> two;
  const Vec ab = hn::Add(hn::OddEven(b, a), hn::Shuffle2301(hn::OddEven(a, b)));
  const Vec cd = hn::Add(hn::OddEven(d, c), hn::Shuffle2301(hn::OddEven(c, d)));
  const auto low = hn::InterleaveLower(two, hn::BitCast(two, ab), hn::BitCast(two, cd));
  const auto high = hn::InterleaveUpper(two, hn::BitCast(two, ab), hn::BitCast(two, cd));
  return hn::Add(hn::BitCast(Tag(), low), hn::BitCast(Tag(), high));
}
// to[q] = tree of the four blocks' lanes q.
TANDEM_INLINE void tree_of_quads(const float* blocks, float* to) {
  const hn::Full128<float> four;
  const auto low = hn::Add(hn::LoadU(four, blocks), hn::LoadU(four, blocks + 4));
  const auto high = hn::Add(hn::LoadU(four, blocks + 8), hn::LoadU(four, blocks + 12));
  hn::StoreU(hn::Add(low, high), four, to);
}
// sum[q] += p[4 t + q] in rising t.
TANDEM_INLINE void add_quads(const float* p, int64_t count, float* sum) {
  const hn::Full128<float> four;
  auto total = hn::LoadU(four, sum);
  for (int64_t t = 0; t < count; ++t) total = hn::Add(total, hn::LoadU(four, p + 4 * t));
  hn::StoreU(total, four, sum);
}
// Past the caches; `to` on a whole vector. stream_fence() before another thread reads it.
TANDEM_INLINE void stream(float* to, Vec v) { hn::Stream(v, Tag(), to); }
TANDEM_INLINE void stream_fence() {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  _mm_sfence();
#endif
}

// acc + a.low16 * b.low16 + a.high16 * b.high16 in every 32-bit lane.
TANDEM_INLINE VecI dot2(VecI acc, VecI a, VecI b) {
#if defined(__AVX512VNNI__)
  return VecI{_mm512_dpwssd_epi32(acc.raw, a.raw, b.raw)};
#elif HWY_TARGET == HWY_AVX3
  return VecI{_mm512_add_epi32(acc.raw, _mm512_madd_epi16(a.raw, b.raw))};
#elif HWY_TARGET == HWY_AVX2
  return VecI{_mm256_add_epi32(acc.raw, _mm256_madd_epi16(a.raw, b.raw))};
#else
  const int16x8_t x = vreinterpretq_s16_s32(a.raw), y = vreinterpretq_s16_s32(b.raw);
  const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
  return VecI{vaddq_s32(acc.raw, vpaddq_s32(low, vmull_high_s16(x, y)))};
#endif
}

// a in the low, b in the high half of every lane; both fit 16 bits.
TANDEM_INLINE VecI pair16(VecI a, VecI b) {
  return hn::Or(hn::And(a, hn::Set(TagI(), 0xffff)), hn::ShiftLeft<16>(b));
}

// Eight words of 32 bits: all of them, twice in a vector of 16, or part `part` in vectors of 4.
TANDEM_INLINE VecI load_words8(const void* p, [[maybe_unused]] int part) {
#if HWY_TARGET == HWY_AVX3
  return VecI{_mm512_broadcast_i64x4(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
#else
  return hn::LoadU(TagI(), static_cast<const int32_t*>(p) + part * kLanes);
#endif
}
// words[i][lane] = word i of the 16 bytes at from[lane] + place.
TANDEM_INLINE void load_turned(const char* const* from, int64_t place, VecI* words) {
  VecI in[4];
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
    const auto four = [&](int block) __attribute__((always_inline)) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[4 * block + q] + place));
    };
    const __m256i eight = _mm256_inserti128_si256(_mm256_castsi128_si256(four(0)), four(1), 1);
#if HWY_TARGET == HWY_AVX3
    const __m512i twelve = _mm512_inserti32x4(_mm512_castsi256_si512(eight), four(2), 2);
    in[q] = VecI{_mm512_inserti32x4(twelve, four(3), 3)};
#else
    in[q] = VecI{eight};
#endif
#else
    in[q] = hn::BitCast(TagI(), hn::LoadU(hn::Full128<uint8_t>(), reinterpret_cast<const uint8_t*>(from[q] + place)));
#endif
  }
  const hn::RepartitionToWide<TagI> wide;
  const auto a = hn::BitCast(wide, hn::InterleaveLower(TagI(), in[0], in[1]));
  const auto b = hn::BitCast(wide, hn::InterleaveLower(TagI(), in[2], in[3]));
  const auto c = hn::BitCast(wide, hn::InterleaveUpper(TagI(), in[0], in[1]));
  const auto d = hn::BitCast(wide, hn::InterleaveUpper(TagI(), in[2], in[3]));
  words[0] = hn::BitCast(TagI(), hn::InterleaveLower(wide, a, b));
  words[1] = hn::BitCast(TagI(), hn::InterleaveUpper(wide, a, b));
  words[2] = hn::BitCast(TagI(), hn::InterleaveLower(wide, c, d));
  words[3] = hn::BitCast(TagI(), hn::InterleaveUpper(wide, c, d));
}
// `low` in the lower, `high` in the upper half of the lanes.
TANDEM_INLINE VecI halves_i(int32_t low, int32_t high) {
  return hn::IfThenElse(hn::FirstN(TagI(), kLanes / 2), hn::Set(TagI(), low), hn::Set(TagI(), high));
}

TANDEM_INLINE Vec load_f16(const f16* p) {
  const hn::Rebind<hwy::float16_t, Tag> tag;
  return hn::PromoteTo(Tag(), hn::LoadU(tag, reinterpret_cast<const hwy::float16_t*>(p)));
}
TANDEM_INLINE Vec load_bf16(const bf16* p) {
  const hn::Rebind<uint16_t, Tag> tag;
  const hn::Rebind<uint32_t, Tag> wide;
  const auto bits = hn::PromoteTo(wide, hn::LoadU(tag, reinterpret_cast<const uint16_t*>(p)));
  return hn::BitCast(Tag(), hn::ShiftLeft<16>(bits));
}
TANDEM_INLINE VecI load_i8(const int8_t* p) {
  const hn::Rebind<int8_t, Tag> tag;
  return hn::PromoteTo(TagI(), hn::LoadU(tag, p));
}

// Elements index.. of a packed nibble stream; index may be odd. Reads only bytes that hold one of them.
TANDEM_INLINE Vec load_i4(const uint8_t* base, int64_t index) {
  const uint8_t* p = base + (index >> 1);
  uint64_t raw = 0;
  __builtin_memcpy(&raw, p, kLanes / 2);
  if ((index & 1) != 0) raw = raw >> 4 | static_cast<uint64_t>(p[kLanes / 2]) << (kLanes * 4 - 4);
  alignas(64) static constexpr int32_t kShifts[16] = {28, 24, 20, 16, 12, 8, 4, 0, 28, 24, 20, 16, 12, 8, 4, 0};
#if HWY_TARGET == HWY_AVX3
  const VecI spread{_mm512_inserti64x4(_mm512_set1_epi32(static_cast<int32_t>(raw)),
                                       _mm256_set1_epi32(static_cast<int32_t>(raw >> 32)), 1)};
#else
  const VecI spread = set_i(static_cast<int32_t>(raw));
#endif
  return to_f32(shift_right<28>(spread << load_i(kShifts)));
}

// Of numbers; NaN gives any NaN, or none at all for bf16.
TANDEM_INLINE void store_f16_number(f16* to, Vec v) {
  const hn::Rebind<hwy::float16_t, Tag> tag;
  hn::StoreU(hn::DemoteTo(tag, v), tag, reinterpret_cast<hwy::float16_t*>(to));
}
TANDEM_INLINE void store_bf16_number(bf16* to, Vec v) {
  const hn::Rebind<uint32_t, Tag> wide;
  const hn::Rebind<uint16_t, Tag> tag;
  const auto bits = hn::BitCast(wide, v);
  const auto even = hn::And(hn::ShiftRight<16>(bits), hn::Set(wide, 1u));
  const auto top = hn::ShiftRight<16>(hn::Add(bits, hn::Add(even, hn::Set(wide, 0x7fffu))));
  hn::StoreU(hn::DemoteTo(tag, hn::BitCast(TagI(), top)), tag, reinterpret_cast<uint16_t*>(to));
}
TANDEM_INLINE void store_f16(f16* to, Vec v) { store_f16_number(to, canonical(v)); }
TANDEM_INLINE void store_bf16(bf16* to, Vec v) { store_bf16_number(to, canonical(v)); }

// out[i][j] = in[j][i] for 4 x 4 floats.
TANDEM_INLINE void transpose4x4(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  const hn::Full128<float> four;
  const hn::Full128<double> two;
  const auto a = hn::LoadU(four, in), b = hn::LoadU(four, in + in_stride);
  const auto c = hn::LoadU(four, in + 2 * in_stride), d = hn::LoadU(four, in + 3 * in_stride);
  const auto ab0 = hn::BitCast(two, hn::InterleaveLower(four, a, b));
  const auto ab1 = hn::BitCast(two, hn::InterleaveUpper(four, a, b));
  const auto cd0 = hn::BitCast(two, hn::InterleaveLower(four, c, d));
  const auto cd1 = hn::BitCast(two, hn::InterleaveUpper(four, c, d));
  hn::StoreU(hn::BitCast(four, hn::InterleaveLower(two, ab0, cd0)), four, out);
  hn::StoreU(hn::BitCast(four, hn::InterleaveUpper(two, ab0, cd0)), four, out + out_stride);
  hn::StoreU(hn::BitCast(four, hn::InterleaveLower(two, ab1, cd1)), four, out + 2 * out_stride);
  hn::StoreU(hn::BitCast(four, hn::InterleaveUpper(two, ab1, cd1)), four, out + 3 * out_stride);
}

// Keeps the compiler from folding one load into every use of it.
template <class V>
TANDEM_INLINE void keep_in_register([[maybe_unused]] V& v) {
#if !defined(TANDEM_SANITIZED) && HWY_TARGET == HWY_AVX3
  asm("" : "+v"(v.raw));
#elif !defined(TANDEM_SANITIZED) && HWY_TARGET == HWY_AVX2
  asm("" : "+x"(v.raw));
#endif
}

}  // namespace tandem::TANDEM_ISA
