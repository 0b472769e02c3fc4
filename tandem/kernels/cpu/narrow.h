// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/stream.h"

// From f32 to int8 and int4 rows.
namespace tandem::TANDEM_ISA {

// v / s for one s with the bits of the division, five fused steps in place of it: r is 1 / s correctly rounded, the
// first correction brings q within one unit of the quotient, and by Markstein's theorem the second one rounds it
// correctly. No product may leave the normal range; tiny quotients may be off, but round to the integer 0 all the same.
class FusedQuotient {
 public:
  TANDEM_INLINE static bool safe(float s) { return s >= 0x1p-90f && s <= 0x1p90f; }
  TANDEM_INLINE explicit FusedQuotient(float s) : minus_(set(-s)), inverse_(set(1.0f / s)) {}
  TANDEM_INLINE Vec of(Vec v, Vec offset) const {
    Vec q = mul(v, inverse_);
    q = fma(fma(minus_, q, v), inverse_, q);
    return add(fma(fma(minus_, q, v), inverse_, q), offset);
  }

 private:
  Vec minus_, inverse_;
};
// For quotients below 2^7 that are rounded to an integer at once, three steps: after one correction q is the nearest
// f32 of v / s * (1 + e), |e| < 2^-45.9, and only an f32 beside a half matters. The border between that f32 and the half
// is an odd M of 25 bits with M = +-1 modulo 2^16; q is wrong only where |v - M * s| < 16 units of the 49-bit product,
// and v ends in at least 24 zero bits there, so the low 16 bits of s's significand would lie within 16 of zero, zero
// itself (a tie of a quotient, which cannot be) excluded. safe() leaves such s to the others.
class RoundedQuotient {
 public:
  TANDEM_INLINE static bool safe(float s) {
    const uint32_t low = tandem::float_bits(s) & 0xffffu;
    return FusedQuotient::safe(s) && (low == 0 || (low > 16 && low < 0x10000u - 16));
  }
  TANDEM_INLINE explicit RoundedQuotient(float s) : minus_(set(-s)), inverse_(set(1.0f / s)) {}
  TANDEM_INLINE Vec of(Vec v, Vec) const {
    const Vec q = mul(v, inverse_);
    return fma(fma(minus_, q, v), inverse_, q);
  }

 private:
  Vec minus_, inverse_;
};
class PlainQuotient {
 public:
  TANDEM_INLINE explicit PlainQuotient(float s) : s_(set(s)) {}
  TANDEM_INLINE Vec of(Vec v, Vec offset) const { return add(div(v, s_), offset); }

 private:
  Vec s_;
};

// sat() of quant.h, before the rounding.
class Saturation {
 public:
  TANDEM_INLINE explicit Saturation(DType type)
      : low_(set(type == DType::i4 ? -8.0f : -128.0f)), high_(set(type == DType::i4 ? 7.0f : 127.0f)) {}
  TANDEM_INLINE Vec clamp(Vec v) const { return zero_nan(at_least(at_most(v, high_), low_)); }

 private:
  Vec low_, high_;
};

// Two int4 a byte, the even column in the low half; n even. Eight columns at once.
TANDEM_INLINE void pack_nibbles(const int8_t* from, int64_t n, uint8_t* to) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t v = 0;
    __builtin_memcpy(&v, from + i, 8);
    v &= 0x0f0f0f0f0f0f0f0fu;
    v = (v | v >> 4) & 0x00ff00ff00ff00ffu;
    v = (v | v >> 8) & 0x0000ffff0000ffffu;
    const auto word = static_cast<uint32_t>(v | v >> 16);
    __builtin_memcpy(to + i / 2, &word, 4);
  }
  for (; i < n; i += 2) to[i / 2] = static_cast<uint8_t>((from[i] & 15) | (from[i + 1] & 15) << 4);
}

// Columns from `first` (even for int4) of one row of int8 or int4: bytes() takes int8, finish() brings them to their
// place.
class NarrowOut {
 public:
  TANDEM_INLINE NarrowOut(void* row, DType type, int64_t first, bool past)
      : place_(static_cast<uint8_t*>(row) + (type == DType::i4 ? first / 2 : first)), i4_(type == DType::i4),
        direct_(past && !i4_ && reinterpret_cast<uintptr_t>(place_) % (4 * kLanes) == 0),
        buffered_(i4_ || (past && !direct_)), past_(past) {}
  // Vectors may go to their place past the caches.
  TANDEM_INLINE bool direct() const { return direct_; }
  TANDEM_INLINE DType type() const { return i4_ ? DType::i4 : DType::i8; }
  TANDEM_INLINE int8_t* bytes() { return buffered_ ? buffer_ : reinterpret_cast<int8_t*>(place_); }
  TANDEM_INLINE void finish(int64_t count) {
    if (!buffered_) return;
    if (i4_) pack_nibbles(buffer_, count, past_ ? reinterpret_cast<uint8_t*>(buffer_) : place_);
    if (past_) stream_bytes(place_, buffer_, i4_ ? count / 2 : count);
  }

 private:
  uint8_t* place_;
  bool i4_, direct_, buffered_, past_;
  alignas(64) int8_t buffer_[kPiece];
};

// Four vectors at a time; the first column that is left.
template <bool kPast, class Value>
TANDEM_INLINE int64_t narrow_vectors(int64_t n, int8_t* y, const Saturation* limits, const Value& value) {
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    Vec a = value(i, Whole()), b = value(i + kLanes, Whole());
    Vec c = value(i + 2 * kLanes, Whole()), d = value(i + 3 * kLanes, Whole());
    if (limits != nullptr) a = limits->clamp(a), b = limits->clamp(b), c = limits->clamp(c), d = limits->clamp(d);
    store_sat_i8x4<kPast>(y + i, a, b, c, d);
  }
  return i;
}

// Row piece out = sat(round half even(value(i, span))) for i in [0, n); finish() of out is the caller's.
template <class Value>
TANDEM_INLINE void narrow(int64_t n, NarrowOut& out, const Value& value) {
  int8_t* y = out.bytes();
  const Saturation limits(out.type());
  int64_t i = out.direct() ? narrow_vectors<true>(n, y, nullptr, value)
                           : narrow_vectors<false>(n, y, out.type() == DType::i4 ? &limits : nullptr, value);
  for (; i < n; i += kLanes) {
    const int64_t count = min64(kLanes, n - i);
    int32_t lanes[kLanes];
    store_i(lanes, round_i(limits.clamp(count == kLanes ? value(i, Whole()) : value(i, Some{count}))));
    for (int64_t k = 0; k < count; ++k) y[i + k] = static_cast<int8_t>(lanes[k]);
  }
}

}  // namespace tandem::TANDEM_ISA
