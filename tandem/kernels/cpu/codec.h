// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/rows.h"
#include "tandem/kernels/gemm.h"

// Decoding of stored weights, kColumns = kPanel columns of one row of k at a time, in strips of kStripVecs vectors.
//
// one<v>() gives w + bias(v) for vector v of a block, where bias(v) is a power of two that integers are put
// under as mantissa bits, or 0. What is multiplied is t = fl32(w + offset) = raw - (bias - offset): one rounding
// wherever bias - offset is exact, as with every whole offset. Else t = (raw - bias) + offset.
namespace tandem::TANDEM_ISA {

inline constexpr int kStripVecs = 2;
inline constexpr int kStripColumns = kStripVecs * kLanes;
inline constexpr int kColumns = static_cast<int>(kPanel);
static_assert(kColumns % kStripColumns == 0);

// 2^(23 - bit): adding an integer whose lowest bit is mantissa bit `bit` adds its value.
constexpr int32_t unit_bits(int bit) { return (127 + 23 - bit) << 23; }
constexpr float unit_power(int bit) { return static_cast<float>(1 << (23 - bit)); }

// Columns in their order, any type with a vector load.
template <class W>
struct InOrder {
  static constexpr bool kTurned = false;
  static constexpr bool kFloat = !__is_same(W, I8) && !__is_same(W, I4);
  static constexpr int kPerWord = 1;
  static constexpr float bias(int) { return 0; }
  template <int kVec>
  TANDEM_INLINE static Vec one(const void* row) {
    return W::load(row, kVec * kLanes);
  }
};

// Packed int4, stored as w + 8: nibble j of word i is column 8 * j + i.
struct PackedI4 {
  static constexpr bool kTurned = false;
  static constexpr bool kFloat = false;
  static constexpr int kPerWord = 1;
  static constexpr int nibble(int v) { return v * kLanes / 8; }
  static constexpr int bit(int v) { return kLanes == 16 ? (v % 2 == 0 ? 11 : 19) : nibble(v) % 2 == 0 ? 12 : 16; }
  static constexpr float bias(int v) { return unit_power(bit(v)) + 8; }

  template <int kVec>
  TANDEM_INLINE static VecI words(const void* row) {
#if defined(HWY_TARGET) && HWY_TARGET == HWY_AVX3
    constexpr int kTurn = bit(kVec) - 8 * (kVec - kVec % 2) + (kVec % 2 == 0 ? 0 : -8);
    constexpr int32_t kLow = kTurn & 31, kHigh = (kTurn - 4) & 31;
    alignas(64) static constexpr int32_t kTurns[16] = {kLow,  kLow,  kLow,  kLow,  kLow,  kLow,  kLow,  kLow,
                                                       kHigh, kHigh, kHigh, kHigh, kHigh, kHigh, kHigh, kHigh};
    return load_words_twice(row, load_i(kTurns));
#else
    constexpr int kLeft = bit(kVec) - 4 * nibble(kVec);
    const VecI word = load_i(static_cast<const int32_t*>(row) + kVec * kLanes % 8);
    if constexpr (kLeft >= 0) return shift_left<kLeft>(word);
    if constexpr (kLeft < 0) return shift_right<-kLeft>(word);
#endif
  }
  template <int kVec>
  TANDEM_INLINE static Vec one(const void* row) {
    return from_bits(and_xor(words<kVec>(row), set_i(15 << bit(kVec)), set_i(unit_bits(bit(kVec)))));
  }
};

#if defined(HWY_TARGET) && HWY_TARGET == HWY_AVX3
// Sixteen words of four columns: vector v of a block holds columns 4 * i + v. Two operations a vector and one shift,
// where columns in their order take three, all of them on the ports of the products.
struct TurnedI8 {
  static constexpr bool kTurned = true;
  static constexpr bool kFloat = false;
  static constexpr int kPerWord = 1;
  static constexpr int bit(int v) { return v % 2 * 8; }
  static constexpr float bias(int v) { return unit_power(bit(v)) + 128; }
  template <int kVec>
  TANDEM_INLINE static Vec one(const void* row) {
    const VecI words = shift_right<kVec / 2 * 16>(load_i(static_cast<const int32_t*>(row)));
    constexpr int kBit = bit(kVec);
    return from_bits(and_xor(words, set_i(255 << kBit), set_i(unit_bits(kBit) ^ (128 << kBit))));
  }
};
using ByteCodec = TurnedI8;
#else
using ByteCodec = InOrder<I8>;
#endif

// Columns along k that were turned as words: word (kk / kPerWord, column) holds kPerWord integers of one column.
template <class W>
struct Words {
  static constexpr bool kTurned = false;
  static constexpr bool kFloat = false;
  static constexpr int kPerWord = __is_same(W, I8) ? 4 : 8;
  static constexpr float bias(int) { return 0; }
  template <int kVec>
  TANDEM_INLINE static Vec one(const void* row, int64_t place) {
    constexpr int kBits = 32 / kPerWord;
    const VecI left = set_i(static_cast<int32_t>(32 - kBits - kBits * place));
    return to_f32(shift_right<32 - kBits>(load_i(static_cast<const int32_t*>(row) + kVec * kLanes) << left));
  }
};

// Moves 64 values between the order of columns and the order a turned codec decodes them in.
TANDEM_INLINE void to_columns(const float* from, float* to) {
  for (int i = 0; i < kLanes; i += 4) transpose4x4(from + i, kLanes, to + 4 * i, 4);
}
TANDEM_INLINE void from_columns(const float* from, float* to) {
  for (int i = 0; i < kLanes; i += 4) transpose4x4(from + 4 * i, 4, to + i, kLanes);
}

// How the rows of a block lie: as in a panel, as in a row-major matrix, or (integers along k) as words.
enum class Form : uint8_t { panel, rows, words };

template <class Body>
TANDEM_INLINE void with_codec(DType type, Form form, const Body& body) {
  if (type == DType::i8 && form == Form::words) return body(Words<I8>());
  if (type == DType::i4 && form == Form::words) return body(Words<I4>());
  if (type == DType::i8) return body(ByteCodec());
  if (type == DType::i4 && form == Form::panel) return body(PackedI4());
  if (type == DType::i4) return body(InOrder<I4>());
  with_float(type, [&]<class W>(W) { body(InOrder<W>()); });
}

}  // namespace tandem::TANDEM_ISA
