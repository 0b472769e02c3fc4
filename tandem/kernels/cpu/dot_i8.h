// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/vec.h"

// What a table offers for exact integer products: 32-bit lanes seen as two 16-bit or four 8-bit integers of k.
// Weights are unsigned there (stored value + bias), activations signed; the bias times the sum of x is taken off.
namespace tandem::TANDEM_ISA {

#if defined(TANDEM_ISA_IS_portable)

typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint16_t Words __attribute__((vector_size(16)));
typedef uint32_t Dwords __attribute__((vector_size(16)));

template <class To, class From>
TANDEM_INLINE To bits_as(From v) {
  return reinterpret_cast<To>(v);
}
TANDEM_INLINE VecI xor_i(VecI a, VecI b) { return a ^ b; }
TANDEM_INLINE VecI logical_right(VecI a, VecI counts) { return bits_as<VecI>(bits_as<Dwords>(a) >> bits_as<Dwords>(counts)); }
TANDEM_INLINE VecI odd_bytes(VecI a) { return bits_as<VecI>(bits_as<Words>(a) >> 8); }
TANDEM_INLINE VecI low8(VecI a, VecI b) {
  return bits_as<VecI>(__builtin_shufflevector(bits_as<Bytes>(a), bits_as<Bytes>(b), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6,
                                               22, 7, 23));
}
TANDEM_INLINE VecI high8(VecI a, VecI b) {
  return bits_as<VecI>(__builtin_shufflevector(bits_as<Bytes>(a), bits_as<Bytes>(b), 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                               14, 30, 15, 31));
}
TANDEM_INLINE VecI low16(VecI a, VecI b) {
  return bits_as<VecI>(__builtin_shufflevector(bits_as<Words>(a), bits_as<Words>(b), 0, 8, 1, 9, 2, 10, 3, 11));
}
TANDEM_INLINE VecI high16(VecI a, VecI b) {
  return bits_as<VecI>(__builtin_shufflevector(bits_as<Words>(a), bits_as<Words>(b), 4, 12, 5, 13, 6, 14, 7, 15));
}
TANDEM_INLINE VecI low_halves(VecI a, VecI b) { return (a & 0xffff) | (b << 16); }
TANDEM_INLINE VecI high_halves(VecI a, VecI b) { return low_halves(bits_as<VecI>(bits_as<Dwords>(a) >> 16), bits_as<VecI>(bits_as<Dwords>(b) >> 16)); }
TANDEM_INLINE VecI pair_bytes(VecI a) {
  const Bytes v = bits_as<Bytes>(a);
  return bits_as<VecI>(__builtin_shufflevector(v, v, 0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
}
TANDEM_INLINE VecI turn_bytes(VecI a) {
  const Bytes v = bits_as<Bytes>(a);
  return bits_as<VecI>(__builtin_shufflevector(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}
TANDEM_INLINE VecI spread_dwords(VecI a) { return a; }
TANDEM_INLINE VecI load_bytes(const void* from) { return load_i(static_cast<const int32_t*>(from)); }
TANDEM_INLINE VecI load_nibbles(const void* from) { return load_bytes(from); }

// acc + the four products of unsigned bytes of w and signed bytes of x.
TANDEM_INLINE VecI dot4(VecI acc, VecI w, VecI x) {
  acc += (w & 0xff) * ((x << 24) >> 24) + ((w >> 8) & 0xff) * ((x << 16) >> 24);
  return acc + ((w >> 16) & 0xff) * ((x << 8) >> 24) + ((w >> 24) & 0xff) * (x >> 24);
}
inline constexpr int kNarrowSteps = 0;
inline constexpr bool kBytesByQuads = false;
TANDEM_INLINE VecI products16(VecI w, VecI x) { return dot4(set_i(0), w, x); }
TANDEM_INLINE VecI add16(VecI a, VecI b) { return add_i(a, b); }
TANDEM_INLINE VecI widen16(VecI acc, VecI sums) { return add_i(acc, sums); }

// Lanes as 16-bit integers, saturated.
TANDEM_INLINE void store_i16(int16_t* to, VecI v) {
  for (int i = 0; i < kLanes; ++i) to[i] = static_cast<int16_t>(v[i] > 32767 ? 32767 : v[i] < -32768 ? -32768 : v[i]);
}

#else

using TagB = hn::Repartition<uint8_t, TagI>;
using TagW = hn::Repartition<uint16_t, TagI>;
using TagD = hn::Rebind<uint32_t, TagI>;

TANDEM_INLINE auto bytes_of(VecI v) { return hn::BitCast(TagB(), v); }
TANDEM_INLINE auto words_of(VecI v) { return hn::BitCast(TagW(), v); }
TANDEM_INLINE VecI xor_i(VecI a, VecI b) { return hn::Xor(a, b); }
TANDEM_INLINE VecI logical_right(VecI a, VecI counts) {
  return hn::BitCast(TagI(), hn::BitCast(TagD(), a) >> hn::BitCast(TagD(), counts));
}
TANDEM_INLINE VecI odd_bytes(VecI a) { return hn::BitCast(TagI(), hn::ShiftRight<8>(words_of(a))); }
TANDEM_INLINE VecI low8(VecI a, VecI b) { return hn::BitCast(TagI(), hn::InterleaveLower(TagB(), bytes_of(a), bytes_of(b))); }
TANDEM_INLINE VecI high8(VecI a, VecI b) { return hn::BitCast(TagI(), hn::InterleaveUpper(TagB(), bytes_of(a), bytes_of(b))); }
TANDEM_INLINE VecI low16(VecI a, VecI b) { return hn::BitCast(TagI(), hn::InterleaveLower(TagW(), words_of(a), words_of(b))); }
TANDEM_INLINE VecI high16(VecI a, VecI b) { return hn::BitCast(TagI(), hn::InterleaveUpper(TagW(), words_of(a), words_of(b))); }
// (low half of a, low half of b) in every lane, and the high halves.
TANDEM_INLINE VecI low_halves(VecI a, VecI b) {
  return hn::BitCast(TagI(), hn::OddEven(words_of(hn::ShiftLeft<16>(b)), words_of(a)));
}
TANDEM_INLINE VecI high_halves(VecI a, VecI b) {
  return hn::BitCast(TagI(), hn::OddEven(words_of(b), words_of(hn::BitCast(TagI(), hn::ShiftRight<16>(hn::BitCast(TagD(), a))))));
}
// In every block of 16 bytes: words (c, c + 4) in rising c; the 4 x 4 bytes turned.
TANDEM_INLINE VecI pair_bytes(VecI a) {
  alignas(16) static constexpr uint8_t kOrder[16] = {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
  return hn::BitCast(TagI(), hn::TableLookupBytes(bytes_of(a), hn::LoadDup128(TagB(), kOrder)));
}
TANDEM_INLINE VecI turn_bytes(VecI a) {
  alignas(16) static constexpr uint8_t kOrder[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  return hn::BitCast(TagI(), hn::TableLookupBytes(bytes_of(a), hn::LoadDup128(TagB(), kOrder)));
}
TANDEM_INLINE VecI load_bytes(const void* from) { return hn::BitCast(TagI(), hn::LoadU(TagB(), static_cast<const uint8_t*>(from))); }

#if HWY_TARGET == HWY_AVX3
// Lane 4 b + o takes lane 4 o + b: blocks of four lanes and lanes of a block change places.
TANDEM_INLINE VecI spread_dwords(VecI a) {
  alignas(64) static constexpr int32_t kOrder[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  return VecI{_mm512_permutexvar_epi32(_mm512_load_si512(kOrder), a.raw)};
}
TANDEM_INLINE VecI load_nibbles(const void* from) {
  return VecI{_mm512_broadcast_i64x4(_mm256_loadu_si256(static_cast<const __m256i*>(from)))};
}
TANDEM_INLINE VecI products16(VecI w, VecI x) { return VecI{_mm512_maddubs_epi16(w.raw, x.raw)}; }
TANDEM_INLINE VecI add16(VecI a, VecI b) { return VecI{_mm512_add_epi16(a.raw, b.raw)}; }
TANDEM_INLINE VecI widen16(VecI acc, VecI sums) {
  return VecI{_mm512_add_epi32(acc.raw, _mm512_madd_epi16(sums.raw, _mm512_set1_epi16(1)))};
}
#if defined(__AVX512VNNI__)
TANDEM_INLINE VecI dot4(VecI acc, VecI w, VecI x) { return VecI{_mm512_dpbusd_epi32(acc.raw, w.raw, x.raw)}; }
inline constexpr int kNarrowSteps = 0;
inline constexpr bool kBytesByQuads = true;
#else
TANDEM_INLINE VecI dot4(VecI acc, VecI w, VecI x) { return widen16(acc, products16(w, x)); }
inline constexpr int kNarrowSteps = 8;
inline constexpr bool kBytesByQuads = false;
#endif
#elif HWY_TARGET == HWY_AVX2
TANDEM_INLINE VecI spread_dwords(VecI a) {
  alignas(32) static constexpr int32_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  return VecI{_mm256_permutevar8x32_epi32(a.raw, _mm256_load_si256(reinterpret_cast<const __m256i*>(kOrder)))};
}
TANDEM_INLINE VecI load_nibbles(const void* from) { return load_bytes(from); }
TANDEM_INLINE VecI products16(VecI w, VecI x) { return VecI{_mm256_maddubs_epi16(w.raw, x.raw)}; }
TANDEM_INLINE VecI add16(VecI a, VecI b) { return VecI{_mm256_add_epi16(a.raw, b.raw)}; }
TANDEM_INLINE VecI widen16(VecI acc, VecI sums) {
  return VecI{_mm256_add_epi32(acc.raw, _mm256_madd_epi16(sums.raw, _mm256_set1_epi16(1)))};
}
TANDEM_INLINE VecI dot4(VecI acc, VecI w, VecI x) { return widen16(acc, products16(w, x)); }
inline constexpr int kNarrowSteps = 8;  // of |sum of two products| <= 2 * 15 * 128 in 16 bits
inline constexpr bool kBytesByQuads = false;
#else
TANDEM_INLINE VecI spread_dwords(VecI a) { return a; }
TANDEM_INLINE VecI load_nibbles(const void* from) { return load_bytes(from); }
#if defined(__ARM_FEATURE_DOTPROD)
TANDEM_INLINE VecI dot4(VecI acc, VecI w, VecI x) {
  return VecI{vdotq_s32(acc.raw, vreinterpretq_s8_s32(w.raw), vreinterpretq_s8_s32(x.raw))};
}
#else
TANDEM_INLINE VecI dot4(VecI acc, VecI w, VecI x) {
  const int8x16_t a = vreinterpretq_s8_s32(w.raw), b = vreinterpretq_s8_s32(x.raw);
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
  return VecI{vaddq_s32(acc.raw, vpaddq_s32(low, vpaddlq_s16(vmull_high_s8(a, b))))};
}
#endif
inline constexpr int kNarrowSteps = 0;
inline constexpr bool kBytesByQuads = true;  // with a bias of 0: both sides are signed
TANDEM_INLINE VecI products16(VecI w, VecI x) { return dot4(set_i(0), w, x); }
TANDEM_INLINE VecI add16(VecI a, VecI b) { return add_i(a, b); }
TANDEM_INLINE VecI widen16(VecI acc, VecI sums) { return add_i(acc, sums); }
#endif

TANDEM_INLINE void store_i16(int16_t* to, VecI v) {
  const hn::Rebind<int16_t, Tag> tag;
  hn::StoreU(hn::DemoteTo(tag, v), tag, to);
}

#endif

// int8 weights lie as value + kByteBias in quads, value + 128 in pairs; int4 weights as value + 8 in both.
#if defined(__aarch64__) && !defined(TANDEM_ISA_IS_portable)
inline constexpr int kByteBias = 0;
#else
inline constexpr int kByteBias = 128;
#endif

// Two or four rows of k in a lane, and the product of such lanes. `narrow` steps may be summed in 16 bits.
struct Pairs {
  static constexpr int kWidth = 2, kNarrow = 0, kBias = 128;
  static constexpr int32_t kOnes = 0x00010001;
  TANDEM_INLINE static VecI dot(VecI acc, VecI w, VecI x) { return dot2(acc, x, w); }
};
struct Quads {
  static constexpr int kWidth = 4, kNarrow = kNarrowSteps, kBias = kByteBias;
  static constexpr int32_t kOnes = 0x01010101;
  TANDEM_INLINE static VecI dot(VecI acc, VecI w, VecI x) { return dot4(acc, w, x); }
};

}  // namespace tandem::TANDEM_ISA
