// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/stream.h"

namespace tandem::TANDEM_ISA {
namespace {

// Element types of a reduction, a vector at a time: floats of at most 32 bits through Vec, the others as compiler
// vectors of their own type. step() is one node of the tree, last() what follows the root.
template <class T>
struct Floats {
  using Element = typename T::Element;
  using Value = Vec;
  static constexpr int64_t kCount = kLanes;

  template <class Span>
  TANDEM_INLINE static Vec load(const void* p, int64_t i, Span span) { return load_span<T>(p, i, span); }
  template <class Span>
  TANDEM_INLINE static void store(void* p, int64_t i, Vec v, Span span) { store_span<T>(p, i, v, span); }
  template <Combine kHow>
  TANDEM_INLINE static Vec step(Vec a, Vec b) {
    if constexpr (kHow == Combine::product) return mul(a, b);
    if constexpr (kHow == Combine::maximum) return greater_of(a, b);
    if constexpr (kHow == Combine::minimum) return lesser_of(a, b);
    return add(a, b);
  }
  TANDEM_INLINE static Vec average(Vec sum, int inputs) { return mul(sum, set(1.0f / static_cast<float>(inputs))); }
};

template <class E>
struct Numbers {
  using Element = E;
  typedef E Value __attribute__((vector_size(4 * kLanes)));
  static constexpr int64_t kCount = 4 * kLanes / static_cast<int64_t>(sizeof(E));
  static constexpr bool kFloat = E(1) / E(2) != 0;

  TANDEM_INLINE static Value load(const void* p, int64_t i, Whole) {
    Value v;
    __builtin_memcpy(&v, static_cast<const E*>(p) + i, sizeof v);
    return v;
  }
  TANDEM_INLINE static Value load(const void* p, int64_t i, Some some) {
    Value v = {};
    __builtin_memcpy(&v, static_cast<const E*>(p) + i, static_cast<size_t>(some.count) * sizeof(E));
    return v;
  }
  TANDEM_INLINE static Value canonical_value(Value v) {
    if constexpr (kFloat) v = v == v ? v : Value{} + __builtin_nan("");
    return v;
  }
  TANDEM_INLINE static void store(void* p, int64_t i, Value v, Whole) {
    v = canonical_value(v);
    __builtin_memcpy(static_cast<E*>(p) + i, &v, sizeof v);
  }
  TANDEM_INLINE static void store(void* p, int64_t i, Value v, Some some) {
    v = canonical_value(v);
    __builtin_memcpy(static_cast<E*>(p) + i, &v, static_cast<size_t>(some.count) * sizeof(E));
  }
  // The larger (kSign 1) or smaller (-1) value; NaN wins, and of two zeros the bits decide.
  template <int kSign>
  TANDEM_INLINE static Value extreme(Value a, Value b) {
    Value best = (kSign > 0 ? a > b : a < b) ? a : b;
    if constexpr (kFloat) {
      typedef int64_t Bits __attribute__((vector_size(4 * kLanes)));
      const Bits x = reinterpret_cast<Bits>(a), y = reinterpret_cast<Bits>(b);
      best = a == b ? reinterpret_cast<Value>(kSign > 0 ? x & y : x | y) : best;
      best = a == a ? best : a;
      best = b == b ? best : b;
    }
    return best;
  }
  template <Combine kHow>
  TANDEM_INLINE static Value step(Value a, Value b) {
    if constexpr (kHow == Combine::product) return a * b;
    if constexpr (kHow == Combine::maximum) return extreme<1>(a, b);
    if constexpr (kHow == Combine::minimum) return extreme<-1>(a, b);
    return a + b;
  }
  TANDEM_INLINE static Value average(Value sum, int inputs) { return sum * (E(1) / static_cast<E>(inputs)); }
};

// tree() over the inputs at one place.
template <class T, Combine kHow, class Span>
TANDEM_INLINE typename T::Value fold(const CombineInputsArgs& args, int64_t i, Span span) {
  typename T::Value v = T::load(args.x[0], i, span);
  if (args.inputs == 1) return v;
  if (args.inputs == 2) return T::template step<kHow>(v, T::load(args.x[1], i, span));
  typename T::Value open[32];
  int depth = 0;
  open[depth++] = v;
  for (int k = 1; k < args.inputs; ++k) {
    v = T::load(args.x[k], i, span);
    for (int carry = k; (carry & 1) != 0; carry >>= 1) v = T::template step<kHow>(open[--depth], v);
    open[depth++] = v;
  }
  v = open[--depth];
  while (depth > 0) v = T::template step<kHow>(open[--depth], v);
  return v;
}

template <class T, Combine kHow>
void combine_piece(const CombineInputsArgs& args, int64_t first, int64_t last, bool past) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(typename T::Element));
  alignas(64) char buffer[kPiece * kBytes];
  const Out y(at(args.y, first * kBytes), buffer, past);
  const auto body = [&](int64_t i, auto span) __attribute__((always_inline)) {
    for (int k = 0; k < args.inputs; ++k) prefetch(at(args.x[k], i * kBytes));
    auto v = fold<T, kHow>(args, i, span);
    if constexpr (kHow == Combine::average) v = T::average(v, args.inputs);
    T::store(y.data(), i - first, v, span);
  };
  int64_t i = first;
  for (; i + T::kCount <= last; i += T::kCount) body(i, Whole());
  if (i < last) body(i, Some{last - i});
  y.finish((last - first) * kBytes);
}

// Integers: the exact sum / inputs, truncated toward zero.
template <class E, class Wide>
void average_integers(const CombineInputsArgs& args, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i) {
    Wide sum = 0;
    for (int k = 0; k < args.inputs; ++k) {
      E element;
      __builtin_memcpy(&element, static_cast<const char*>(args.x[k]) + i * static_cast<int64_t>(sizeof(E)), sizeof(E));
      sum += static_cast<Wide>(element);
    }
    const auto mean = static_cast<E>(sum / static_cast<Wide>(args.inputs));
    __builtin_memcpy(static_cast<char*>(args.y) + i * static_cast<int64_t>(sizeof(E)), &mean, sizeof(E));
  }
}

// Sum and product wrap, so they run unsigned; extremes need the sign.
template <class Signed, class Unsigned, class Wide>
void combine_integers(const CombineInputsArgs& args, int64_t first, int64_t last, bool past) {
  switch (args.how) {
    case Combine::sum: return combine_piece<Numbers<Unsigned>, Combine::sum>(args, first, last, past);
    case Combine::product: return combine_piece<Numbers<Unsigned>, Combine::product>(args, first, last, past);
    case Combine::maximum: return combine_piece<Numbers<Signed>, Combine::maximum>(args, first, last, past);
    case Combine::minimum: return combine_piece<Numbers<Signed>, Combine::minimum>(args, first, last, past);
    case Combine::average: return average_integers<Signed, Wide>(args, first, last);
  }
}
template <class T>
void combine_floats(const CombineInputsArgs& args, int64_t first, int64_t last, bool past) {
  switch (args.how) {
    case Combine::sum: return combine_piece<T, Combine::sum>(args, first, last, past);
    case Combine::product: return combine_piece<T, Combine::product>(args, first, last, past);
    case Combine::maximum: return combine_piece<T, Combine::maximum>(args, first, last, past);
    case Combine::minimum: return combine_piece<T, Combine::minimum>(args, first, last, past);
    case Combine::average: return combine_piece<T, Combine::average>(args, first, last, past);
  }
}

__extension__ typedef __int128 Wide;
__extension__ typedef unsigned __int128 WideUnsigned;

void combine_any(const CombineInputsArgs& args, int64_t first, int64_t last, bool past) {
  switch (args.dtype) {
    case DType::i8: return combine_integers<int8_t, uint8_t, int64_t>(args, first, last, past);
    case DType::u8: return combine_integers<uint8_t, uint8_t, int64_t>(args, first, last, past);
    case DType::i16: return combine_integers<int16_t, uint16_t, int64_t>(args, first, last, past);
    case DType::u16: return combine_integers<uint16_t, uint16_t, int64_t>(args, first, last, past);
    case DType::i32: return combine_integers<int32_t, uint32_t, int64_t>(args, first, last, past);
    case DType::u32: return combine_integers<uint32_t, uint32_t, int64_t>(args, first, last, past);
    case DType::i64: return combine_integers<int64_t, uint64_t, Wide>(args, first, last, past);
    case DType::u64: return combine_integers<uint64_t, uint64_t, WideUnsigned>(args, first, last, past);
    case DType::f64: return combine_floats<Numbers<double>>(args, first, last, past);
    case DType::f16: return combine_floats<Floats<F16>>(args, first, last, past);
    case DType::bf16: return combine_floats<Floats<Bf16>>(args, first, last, past);
    default: return combine_floats<Floats<F32>>(args, first, last, past);
  }
}

}  // namespace

void combine_inputs(const CombineInputsArgs& args, Lane& lane) {
  bool past = args.past || past_caches(args.count * dtype_bits(args.dtype) / 8);
  for (int k = 0; k < args.inputs; ++k) past = past && args.x[k] != args.y;
  for_pieces(1, args.count, args.inputs, lane,
             [&](int64_t, int64_t first, int64_t last) { combine_any(args, first, last, past); });
}

}  // namespace tandem::TANDEM_ISA
