// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/stream.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr int64_t kExpWork = 16;  // multiply-adds one exp is worth

TANDEM_INLINE Vec silu(Vec v) { return div(v, add(set(1.0f), exp(neg(v)))); }
TANDEM_INLINE Vec gelu(Vec v) {
  const Vec cube = mul(mul(v, v), v);
  const Vec u = mul(set(0x1.988454p-1f), add(v, mul(set(0.044715f), cube)));  // sqrt(2 / pi)
  return div(v, add(set(1.0f), exp(mul(set(-2.0f), u))));
}
TANDEM_INLINE Vec without_sign(Vec v) { return from_bits(and_i(bits_of(v), set_i(0x7fffffff))); }

template <class T, class Op>
void unary_piece(const UnaryArgs& args, int64_t first, int64_t last, bool past, const Op& op) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(typename T::Element));
  alignas(64) char buffer[kPiece * kBytes];
  const void* x = at(args.x, first * kBytes);
  const Out y(at(args.y, first * kBytes), buffer, past);
  write_vectors<T>(y.data(), last - first, [=](int64_t i, auto span) __attribute__((always_inline)) {
    prefetch(at(x, i * kBytes));
    return op(load_span<T>(x, i, span));
  });
  y.finish((last - first) * kBytes);
}

template <class T>
void unary_floats(const UnaryArgs& args, int64_t first, int64_t last, bool past) {
  const auto with = [&](const auto& op) { unary_piece<T>(args, first, last, past, op); };
  switch (args.op) {
    case Unary::copy: return with([](Vec v) { return v; });
    case Unary::negate: return with([](Vec v) { return neg(v); });
    case Unary::absolute: return with([](Vec v) { return without_sign(v); });
    case Unary::square_root: return with([](Vec v) { return sqrt(v); });
    case Unary::reciprocal: return with([](Vec v) { return div(set(1.0f), v); });
    case Unary::exponential: return with([](Vec v) { return exp(v); });
    case Unary::silu: return with([](Vec v) { return silu(v); });
    case Unary::gelu: return with([](Vec v) { return gelu(v); });
    case Unary::scale: return with([alpha = set(args.alpha)](Vec v) { return mul(v, alpha); });
  }
}

// i32 wraps; the bits pass through Vec untouched.
struct Word {
  using Element = int32_t;
  TANDEM_INLINE static VecI load(const void* p, int64_t i) { return load_i(static_cast<const int32_t*>(p) + i); }
  TANDEM_INLINE static void store(void* p, int64_t i, VecI v) { store_i(static_cast<int32_t*>(p) + i, v); }
};
TANDEM_INLINE VecI load_word(const void* p, int64_t i, Whole) { return Word::load(p, i); }
TANDEM_INLINE VecI load_word(const void* p, int64_t i, Some some) {
  int32_t lanes[kLanes] = {};
  __builtin_memcpy(lanes, static_cast<const int32_t*>(p) + i, static_cast<size_t>(some.count) * 4);
  return load_i(lanes);
}
TANDEM_INLINE void store_word(void* p, int64_t i, VecI v, Whole) { Word::store(p, i, v); }
TANDEM_INLINE void store_word(void* p, int64_t i, VecI v, Some some) {
  int32_t lanes[kLanes];
  store_i(lanes, v);
  __builtin_memcpy(static_cast<int32_t*>(p) + i, lanes, static_cast<size_t>(some.count) * 4);
}

void unary_words(const UnaryArgs& args, int64_t first, int64_t last) {
  for_vectors(last - first, [&](int64_t i, auto span) __attribute__((always_inline)) {
    VecI v = load_word(args.x, first + i, span);
    const VecI minus = sub_i(set_i(0), v);
    if (args.op == Unary::negate) v = minus;
    if (args.op == Unary::absolute) v = max_i(v, minus);
    store_word(args.y, first + i, v, span);
  });
}

// Elements [first, last) of a and y, b from `from`.
struct Piece {
  int64_t first, last, from;
};

template <class T, class Op>
void binary_piece(const BinaryArgs& args, const Piece& piece, bool past, const Op& op) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(typename T::Element));
  alignas(64) char buffer[kPiece * kBytes];
  const void* a = at(args.a, piece.first * kBytes);
  const void* b = at(args.b, piece.from * kBytes);
  const Out y(at(args.y, piece.first * kBytes), buffer, past);
  write_vectors<T>(y.data(), piece.last - piece.first, [=](int64_t i, auto span) __attribute__((always_inline)) {
    prefetch(at(a, i * kBytes));
    prefetch(at(b, i * kBytes));
    return op(load_span<T>(a, i, span), load_span<T>(b, i, span));
  });
  y.finish((piece.last - piece.first) * kBytes);
}

template <class T>
void binary_floats(const BinaryArgs& args, const Piece& piece, bool past) {
  const auto with = [&](const auto& op) { binary_piece<T>(args, piece, past, op); };
  switch (args.op) {
    case Binary::add: return with([](Vec a, Vec b) { return add(a, b); });
    case Binary::subtract: return with([](Vec a, Vec b) { return sub(a, b); });
    case Binary::multiply: return with([](Vec a, Vec b) { return mul(a, b); });
    case Binary::divide: return with([](Vec a, Vec b) { return div(a, b); });
    case Binary::maximum: return with([](Vec a, Vec b) { return greater_of(a, b); });
    case Binary::minimum: return with([](Vec a, Vec b) { return lesser_of(a, b); });
  }
}

void binary_words(const BinaryArgs& args, const Piece& piece) {
  const int32_t* b = static_cast<const int32_t*>(args.b) + piece.from;
  for_vectors(piece.last - piece.first, [&](int64_t i, auto span) __attribute__((always_inline)) {
    VecI v = load_word(args.a, piece.first + i, span);
    const VecI w = load_word(b, i, span);
    switch (args.op) {
      case Binary::add: v = add_i(v, w); break;
      case Binary::subtract: v = sub_i(v, w); break;
      case Binary::multiply: v = mul_i(v, w); break;
      case Binary::maximum: v = max_i(v, w); break;
      case Binary::minimum: v = min_i(v, w); break;
      case Binary::divide: break;  // not of integers
    }
    store_word(args.y, piece.first + i, v, span);
  });
}

}  // namespace

void unary(const UnaryArgs& args, Lane& lane) {
  const bool past = args.x != args.y && past_caches(args.count * element_bytes(args.dtype));
  for_pieces(1, args.count, kExpWork, lane, [&](int64_t, int64_t first, int64_t last) {
    if (args.dtype == DType::i32) return unary_words(args, first, last);
    with_float(args.dtype, [&]<class T>(T) { unary_floats<T>(args, first, last, past); });
  });
}

void binary(const BinaryArgs& args, Lane& lane) {
  const bool past = args.a != args.y && args.b != args.y && past_caches(args.count * element_bytes(args.dtype));
  const int64_t period = args.b_period > 0 ? args.b_period : max64(args.count, 1);
  for_pieces((args.count + period - 1) / period, period, 1, lane, [&](int64_t row, int64_t first, int64_t last) {
    const Piece piece{row * period + first, min64(row * period + last, args.count), first};
    if (piece.first >= piece.last) return;
    if (args.dtype == DType::i32) return binary_words(args, piece);
    with_float(args.dtype, [&]<class T>(T) { binary_floats<T>(args, piece, past); });
  });
}

}  // namespace tandem::TANDEM_ISA
