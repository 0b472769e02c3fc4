// SPDX-License-Identifier: Apache-2.0
// Compiled once per instruction set: the most a core reads, copies, multiplies. Everything is local to this object.
#include "bench/limits_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace tandem::bench::TANDEM_ISA {
namespace {

#if defined(__AVX512BW__)
struct Simd {
  using F = __m512;
  using I = __m512i;
  static constexpr bool kMadd = true;
  static F set(float v) { return _mm512_set1_ps(v); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static I zero() { return _mm512_setzero_si512(); }
  static I load(const void* p) { return _mm512_loadu_si512(p); }
  static void store(void* p, I v) { _mm512_store_si512(p, v); }
  static void stream(void* p, I v) { _mm512_stream_si512(static_cast<I*>(p), v); }
  static I bit_or(I a, I b) { return _mm512_or_si512(a, b); }
  static I add(I a, I b) { return _mm512_add_epi32(a, b); }
  static I madd(I a, I b) { return _mm512_madd_epi16(a, b); }
  static void fence() { _mm_sfence(); }
};
#elif defined(__AVX2__)
struct Simd {
  using F = __m256;
  using I = __m256i;
  static constexpr bool kMadd = true;
  static F set(float v) { return _mm256_set1_ps(v); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static I zero() { return _mm256_setzero_si256(); }
  static I load(const void* p) { return _mm256_loadu_si256(static_cast<const I*>(p)); }
  static void store(void* p, I v) { _mm256_store_si256(static_cast<I*>(p), v); }
  static void stream(void* p, I v) { _mm256_stream_si256(static_cast<I*>(p), v); }
  static I bit_or(I a, I b) { return _mm256_or_si256(a, b); }
  static I add(I a, I b) { return _mm256_add_epi32(a, b); }
  static I madd(I a, I b) { return _mm256_madd_epi16(a, b); }
  static void fence() { _mm_sfence(); }
};
#elif defined(__x86_64__)
struct Simd {  // no fused instruction: a product and a sum
  using F = __m128;
  using I = __m128i;
  static constexpr bool kMadd = true;
  static F set(float v) { return _mm_set1_ps(v); }
  static F fma(F a, F b, F c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
  static I zero() { return _mm_setzero_si128(); }
  static I load(const void* p) { return _mm_loadu_si128(static_cast<const I*>(p)); }
  static void store(void* p, I v) { _mm_store_si128(static_cast<I*>(p), v); }
  static void stream(void* p, I v) { _mm_stream_si128(static_cast<I*>(p), v); }
  static I bit_or(I a, I b) { return _mm_or_si128(a, b); }
  static I add(I a, I b) { return _mm_add_epi32(a, b); }
  static I madd(I a, I b) { return _mm_madd_epi16(a, b); }
  static void fence() { _mm_sfence(); }
};
#else
struct Simd {
  using F = float32x4_t;
  using I = int32x4_t;
  static constexpr bool kMadd = false;
  static F set(float v) { return vdupq_n_f32(v); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static I zero() { return vdupq_n_s32(0); }
  static I load(const void* p) { return vld1q_s32(static_cast<const int32_t*>(p)); }
  static void store(void* p, I v) { vst1q_s32(static_cast<int32_t*>(p), v); }
  static void stream(void* p, I v) { store(p, v); }
  static I bit_or(I a, I b) { return vorrq_s32(a, b); }
  static I add(I a, I b) { return vaddq_s32(a, b); }
  static I madd(I a, I) { return a; }
  static void fence() {}
};
#endif

using F = Simd::F;
using I = Simd::I;
constexpr size_t kWidth = sizeof(I);
constexpr int kChains = 12;  // latency 4 on 2 ports needs 8; 16 registers hold 12 and their operands
constexpr size_t kLine = 64;

template <class T>
T opaque(T value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#else
  asm("" : "+w"(value));
#endif
  return value;
}

template <class T>
int64_t low_lane(T value) {
  int32_t lane;
  __builtin_memcpy(&lane, &value, sizeof lane);
  return lane;
}

void read_line(const char* p, I& sum) {
  for (size_t i = 0; i < kLine; i += kWidth) sum = Simd::bit_or(sum, Simd::load(p + i));
}

// `Streams` parts of the range read side by side, each a prefetch distance ahead (0: none).
template <int Streams, int Ahead>
uint64_t read_streams(const char* from, size_t bytes) {
  const size_t lines = bytes / kLine / Streams;
  I sums[Streams];
#pragma GCC unroll 8
  for (int s = 0; s < Streams; ++s) sums[s] = Simd::zero();
  for (size_t line = 0; line < lines; ++line) {
#pragma GCC unroll 8
    for (int s = 0; s < Streams; ++s) {
      const char* p = from + (static_cast<size_t>(s) * lines + line) * kLine;
      if (Ahead > 0) __builtin_prefetch(p + Ahead);
      read_line(p, sums[s]);
    }
  }
  I rest = Simd::zero();
  for (const char* p = from + Streams * lines * kLine; p < from + bytes; p += kLine) read_line(p, rest);
#pragma GCC unroll 8
  for (int s = 0; s < Streams; ++s) rest = Simd::bit_or(rest, sums[s]);
  return static_cast<uint64_t>(low_lane(opaque(rest)));
}

struct ReadPattern {
  const char* name;
  uint64_t (*read)(const char*, size_t);
};
constexpr ReadPattern kPatterns[] = {
    {"1 stream", read_streams<1, 0>},
    {"1 stream, prefetch 1 KiB", read_streams<1, 1024>},
    {"1 stream, prefetch 4 KiB", read_streams<1, 4096>},
    {"4 streams", read_streams<4, 0>},
    {"4 streams, prefetch 1 KiB", read_streams<4, 1024>},
    {"8 streams", read_streams<8, 0>},
    {"8 streams, prefetch 1 KiB", read_streams<8, 1024>},
};

const char* pattern_name(int pattern) { return kPatterns[pattern].name; }

uint64_t read(const void* from, size_t bytes, int pattern) {
  return kPatterns[pattern].read(static_cast<const char*>(from), bytes);
}

void copy(void* to, const void* from, size_t bytes, CopyForm form) {
  auto* out = static_cast<char*>(to);
  const auto* in = static_cast<const char*>(from);
  if (form == CopyForm::plain) {
    for (size_t i = 0; i < bytes; i += kWidth) Simd::store(out + i, Simd::load(in + i));
    return;
  }
  for (size_t i = 0; i < bytes; i += kWidth) Simd::stream(out + i, Simd::load(in + i));
  Simd::fence();
}

float fma_loop(int64_t steps) {
  F chains[kChains];
  const F a = opaque(Simd::set(0.5f)), b = opaque(Simd::set(0.25f));
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) chains[i] = opaque(Simd::set(static_cast<float>(i)));
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chains[i] = Simd::fma(a, b, chains[i]);
  }
  float sum = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum += static_cast<float>(low_lane(opaque(chains[i])));
  return sum;
}

int32_t madd_loop(int64_t steps) {
  I chains[kChains];
  const I a = opaque(Simd::zero());
  I b = opaque(Simd::zero());
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) chains[i] = Simd::zero();
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      b = opaque(b);  // or the product would leave the loop
      chains[i] = Simd::add(chains[i], Simd::madd(a, b));
    }
  }
  int64_t sum = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum += low_lane(opaque(chains[i]));
  return static_cast<int32_t>(sum);
}

#if defined(__AVX512VNNI__)
int32_t dot_loop(int64_t steps) {
  I chains[kChains];
  const I a = opaque(Simd::zero()), b = opaque(Simd::zero());
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) chains[i] = opaque(Simd::zero());
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chains[i] = _mm512_dpbusd_epi32(chains[i], a, b);
  }
  int64_t sum = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum += low_lane(opaque(chains[i]));
  return static_cast<int32_t>(sum);
}
constexpr int kDot = kChains * static_cast<int>(kWidth) * 2;
#else
constexpr int32_t (*dot_loop)(int64_t) = nullptr;
constexpr int kDot = 0;
#endif

constexpr int kFma = kChains * static_cast<int>(sizeof(F) / sizeof(float)) * 2;
constexpr int kMadd = Simd::kMadd ? kChains * static_cast<int>(kWidth) : 0;

}  // namespace

extern const LimitLoops loops;
const LimitLoops loops = {TANDEM_ISA_NAME, static_cast<int>(sizeof kPatterns / sizeof kPatterns[0]),
                          pattern_name, read, copy, kFma, fma_loop, kMadd, madd_loop, kDot, dot_loop};

}  // namespace tandem::bench::TANDEM_ISA
