// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/parts.h"
#include "tandem/kernels/cpu/stream.h"

namespace tandem::TANDEM_ISA {
namespace {

void sum_piece(const SumRowsArgs& args, int64_t row, int64_t first, int64_t last) {
  for (int64_t c = first; c < last; c += kLanes) {
    const int64_t count = last - c;
    TreeSum tree;
    for (int rank = 0; rank < args.ranks; ++rank) {
      tree.push(load_up_to<F32>(args.inputs[rank * args.rows + row], c, count));
    }
    Vec sum = tree.finish();
    for (int i = 0; i < args.biases; ++i) sum = add(sum, load_up_to<F32>(args.bias[i], c, count));
    store_up_to<F32>(args.y_rows[row], c, sum, count);
  }
}

template <class T>
void add_piece(float* y, const void* x, int64_t first, int64_t last) {
  for (int64_t c = first; c < last; c += kLanes) {
    const int64_t count = last - c;
    store_up_to<F32>(y, c, add(load_up_to<F32>(y, c, count), load_up_to<T>(x, c, count)), count);
  }
}

// i32 to f32 for one rounding behind it: a value of more than 24 bits keeps its upper 24, and one bit below them tells
// that there were others, so that bf16 rounds as the whole would.
struct StickyI32 {
  using Element = int32_t;
  TANDEM_INLINE static Vec load(const void* p, int64_t i) {
    const VecI v = load_i(static_cast<const int32_t*>(p) + i);
    const VecI rest = shift_right<1>(and_i(add_i(and_i(v, set_i(0xff)), set_i(0xff)), set_i(0x100)));
    const Vec plain = to_f32(v);
    const Vec size = from_bits(and_i(bits_of(plain), set_i(0x7fffffff)));
    return if_greater(size, set(0x1p24f - 1), to_f32(or_i(and_i(v, set_i(~0xff)), rest)), plain);
  }
  TANDEM_INLINE static float one(const void* p, int64_t i) {
    int32_t lanes[kLanes] = {static_cast<const int32_t*>(p)[i]};
    return first_lane(load(lanes, 0));
  }
};

// f32 rounds by the conversion itself; what f16 cannot hold exactly overflows it either way.
template <class To>
struct IntegerOf {
  using Type = I32;
};
template <>
struct IntegerOf<Bf16> {
  using Type = StickyI32;
};

template <class To, class From>
void cast_piece(const CastArgs& args, int64_t first, int64_t last, bool past) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(typename To::Element));
  alignas(64) char buffer[kPiece * kBytes];
  const Out y(at(args.y, first * kBytes), buffer, past);
  const void* x = at(args.x, first * static_cast<int64_t>(sizeof(typename From::Element)));
  write_vectors<To>(y.data(), last - first, [=](int64_t i, auto span) __attribute__((always_inline)) {
    prefetch(at(x, i * static_cast<int64_t>(sizeof(typename From::Element))));
    return load_span<From>(x, i, span);
  });
  y.finish((last - first) * kBytes);
}

}  // namespace

void sum_rows(const SumRowsArgs& args, Lane& lane) {
  for_pieces(args.rows, args.n, 1, lane,
             [&](int64_t row, int64_t first, int64_t last) { sum_piece(args, row, first, last); });
}

void add_rows(const AddRowsArgs& args, Lane& lane) {
  for_pieces(args.rows, args.n, 1, lane, [&](int64_t row, int64_t first, int64_t last) {
    with_float(args.x_dtype, [&]<class T>(T) { add_piece<T>(args.y_rows[row], args.x_rows[row], first, last); });
  });
}

void cast(const CastArgs& args, Lane& lane) {
  const bool past = args.y != args.x && past_caches(args.count * element_bytes(args.y_dtype));
  for_pieces(1, args.count, 1, lane, [&](int64_t, int64_t first, int64_t last) {
    with_float(args.y_dtype, [&]<class To>(To) {
      if (args.x_dtype == DType::i32) return cast_piece<To, typename IntegerOf<To>::Type>(args, first, last, past);
      with_float(args.x_dtype, [&]<class From>(From) { cast_piece<To, From>(args, first, last, past); });
    });
  });
}

}  // namespace tandem::TANDEM_ISA
