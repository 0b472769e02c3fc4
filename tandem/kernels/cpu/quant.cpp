// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/kernels.h"
#include "tandem/kernels/cpu/narrow.h"
#include "tandem/kernels/cpu/parts.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr int64_t kQuantWork = 4;  // multiply-adds one element is worth

// A row operand as f32: values of column c at data[c], or of every column at data[0 .. kPiece).
struct Columns {
  const float* data;
  bool single;
  TANDEM_INLINE const float* from(int64_t first) const { return single ? data : data + first; }
};

Columns columns_of(const PerColumn& operand, int64_t n, float absent, Scratch& scratch) {
  const bool single = operand.data == nullptr || operand.single;
  const int64_t count = single ? min64(n, kPiece) : n;
  float* values = take<float>(scratch, count);
  if (operand.data == nullptr || operand.single) {
    float value = absent;
    if (operand.data != nullptr) {
      with_weight(operand.dtype, [&]<class T>(T) { value = T::one(operand.data, 0); });
    }
    for (int64_t i = 0; i < count; ++i) values[i] = value;
  } else {
    with_weight(operand.dtype, [&]<class T>(T) { read_row<T>(operand.data, 0, n, values); });
  }
  return {values, single};
}

// What is the same for all rows of a call.
struct QuantizeCall {
  const QuantizeArgs& args;
  Columns scale, offset;
  Saturation limits;
  bool past;
};

TANDEM_INLINE VecI round_by(Vec v, Rounding rounding) {
  const VecI nearest = round_i(v);
  const Vec r = to_f32(nearest), one = set(1.0f), zero = set(0.0f);
  const Vec down = if_greater(r, v, one, zero), up = if_greater(v, r, one, zero);
  switch (rounding) {
    case Rounding::half_even: return nearest;
    case Rounding::floor: return round_i(sub(r, down));
    case Rounding::ceil: return round_i(add(r, up));
    case Rounding::truncate: return round_i(if_greater(v, zero, sub(r, down), add(r, up)));
  }
  return nearest;
}

// The rarer forms, step by step.
TANDEM_INLINE VecI quantize_steps(const QuantizeCall& call, Vec x, Vec scale, Vec offset) {
  const QuantizeArgs& args = call.args;
  Vec v = args.divide ? div(x, scale) : mul(x, scale);
  if (args.square) v = args.divide ? div(v, scale) : mul(v, scale);
  if (!args.offset_last) return round_by(call.limits.clamp(add(v, offset)), args.rounding);
  v = to_f32(round_by(call.limits.clamp(v), args.rounding));
  return round_by(call.limits.clamp(add(v, offset)), args.rounding);
}

template <class T, bool kPlain>
void quantize_piece(const QuantizeCall& call, int64_t row, int64_t first, int64_t last) {
  const QuantizeArgs& args = call.args;
  const void* x = at(args.x, row * args.x_row_bytes);
  const float* scale = call.scale.from(first);
  const float* offset = call.offset.from(first);
  NarrowOut out(at(args.y, row * args.y_row_bytes), args.y_dtype, first, call.past);
  narrow(last - first, out, [=, &call](int64_t i, auto span) __attribute__((always_inline)) {
    prefetch(at(x, (first + i) * static_cast<int64_t>(sizeof(typename T::Element))));
    const Vec v = load_span<T>(x, first + i, span);
    const Vec s = load_span<Plain>(scale, i, span), o = load_span<Plain>(offset, i, span);
    if constexpr (kPlain) return add(mul(v, s), o);
    return to_f32(quantize_steps(call, v, s, o));
  });
  out.finish(last - first);
}

}  // namespace

void quantize(const QuantizeArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  const QuantizeCall call{args, columns_of(args.scale, args.n, 1, *lane.scratch),
                          columns_of(args.offset, args.n, 0, *lane.scratch), Saturation(args.y_dtype),
                          past_caches(args.rows * args.y_row_bytes)};
  const bool plain = args.rounding == Rounding::half_even && !args.square && !args.divide && !args.offset_last;
  for_pieces(args.rows, args.n, kQuantWork, lane, [&](int64_t row, int64_t first, int64_t last) {
    with_float(args.x_dtype, [&]<class T>(T) {
      if (plain) return quantize_piece<T, true>(call, row, first, last);
      quantize_piece<T, false>(call, row, first, last);
    });
  });
}

namespace {

struct DequantizeCall {
  const DequantizeArgs& args;
  Columns scale, offset;
  bool past;
};

template <class From, class To>
void dequantize_piece(const DequantizeCall& call, int64_t row, int64_t first, int64_t last) {
  const DequantizeArgs& args = call.args;
  const void* x = at(args.x, row * args.x_row_bytes);
  const float* scale = call.scale.from(first);
  const float* offset = call.offset.from(first);
  const Vec row_scale = set(args.row_scale != nullptr ? args.row_scale[row] : 1.0f);
  constexpr auto kBytes = static_cast<int64_t>(sizeof(typename To::Element));
  alignas(64) char buffer[kPiece * kBytes];
  const Out y(at(args.y, row * args.y_row_bytes + first * kBytes), buffer, call.past);
  const bool square = args.square;
  write_vectors<To>(y.data(), last - first, [=](int64_t i, auto span) __attribute__((always_inline)) {
    prefetch(at(x, first + i));
    const Vec s = load_span<Plain>(scale, i, span);
    Vec v = mul(add(load_span<From>(x, first + i, span), load_span<Plain>(offset, i, span)), s);
    if (square) v = mul(v, s);
    return mul(v, row_scale);
  });
  y.finish((last - first) * kBytes);
}

}  // namespace

void dequantize(const DequantizeArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  const DequantizeCall call{args, columns_of(args.scale, args.n, 1, *lane.scratch),
                            columns_of(args.offset, args.n, 0, *lane.scratch),
                            past_caches(args.rows * args.y_row_bytes)};
  for_pieces(args.rows, args.n, kQuantWork, lane, [&](int64_t row, int64_t first, int64_t last) {
    with_float(args.y_dtype, [&]<class To>(To) {
      if (args.x_dtype == DType::i32) return dequantize_piece<I32, To>(call, row, first, last);
      if (args.x_dtype == DType::i4) return dequantize_piece<I4, To>(call, row, first, last);
      dequantize_piece<I8, To>(call, row, first, last);
    });
  });
}

namespace {

constexpr int32_t kInfinity = 0x7f800000;

// Largest magnitude as bits, so that NaN > Inf > numbers, and the range.
struct Range {
  int32_t magnitude;
  float least, greatest;
};

template <class T, bool kSmooth>
struct Row {
  const void* x;
  const void* smooth;

  template <class Span>
  TANDEM_INLINE Vec value(int64_t i, Span span) const {
    const Vec v = load_span<T>(x, i, span);
    if constexpr (kSmooth) return mul(v, load_span<T>(smooth, i, span));
    return v;
  }
  Range range(int64_t n, bool signs) const;
};

template <class T, bool kSmooth>
Range Row<T, kSmooth>::range(int64_t n, bool signs) const {
  constexpr int kChains = 4;
  VecI magnitude[kChains];
#pragma GCC unroll 4
  for (int k = 0; k < kChains; ++k) magnitude[k] = set_i(0);
  const VecI mask = set_i(0x7fffffff);
  int64_t i = 0;
  for (; i + kChains * kLanes <= n; i += kChains * kLanes) {
#pragma GCC unroll 4
    for (int k = 0; k < kChains; ++k) {
      magnitude[k] = max_i(magnitude[k], and_i(bits_of(value(i + k * kLanes, Whole())), mask));
    }
  }
  for (; i < n; i += kLanes) {
    const VecI bits = i + kLanes <= n ? bits_of(value(i, Whole())) : bits_of(value(i, Some{n - i}));
    magnitude[0] = max_i(magnitude[0], and_i(bits, mask));
  }
  const VecI all = max_i(max_i(magnitude[0], magnitude[1]), max_i(magnitude[2], magnitude[3]));
  Range range{greatest_lane_i(all), 0, 0};
  if (!signs || n == 0 || range.magnitude >= kInfinity) return range;
  Vec low = set(__builtin_inff()), high = set(-__builtin_inff());
  for_vectors(n, [&](int64_t c, auto span) __attribute__((always_inline)) {
    const Vec v = value(c, span);
    if constexpr (sizeof(span) == sizeof(Whole)) {
      low = at_most(low, v), high = at_least(high, v);
    } else {
      // Lanes behind the row repeat the first column.
      float lanes[kLanes];
      store(lanes, v);
      for (int64_t k = span.count; k < kLanes; ++k) lanes[k] = first_lane(value(0, Some{1}));
      low = at_most(low, load(lanes)), high = at_least(high, load(lanes));
    }
  });
  range.least = -greatest_lane(neg(low)), range.greatest = greatest_lane(high);
  return range;
}

struct Scaling {
  float scale, offset;
  bool zero;  // every y is 0
};

Scaling scaling_of(const Range& range, DType type, bool asymmetric) {
  const float top = type == DType::i4 ? 7.0f : 127.0f, steps = type == DType::i4 ? 15.0f : 255.0f;
  if (range.magnitude > kInfinity) return {kNan, kNan, true};
  if (range.magnitude == kInfinity) return {__builtin_inff(), kNan, true};
  if (!asymmetric) {
    const float scale = tandem::float_from_bits(static_cast<uint32_t>(range.magnitude)) / top;
    return {scale, 0, range.magnitude == 0};
  }
  const float spread = (range.greatest - range.least) / steps;
  const float scale = spread > 1e-12f ? spread : 1e-12f;
  return {scale, top - range.greatest / scale, false};
}

// y = sat(round(v / scale + offset)) of a whole row.
template <class Quotient, class RowOf>
TANDEM_INLINE void write_dynamic(const RowOf& from, const DynamicQuantArgs& args, const Scaling& by, int64_t row,
                                 bool past) {
  const Quotient quotient(by.scale);
  const Vec offset = set(by.offset);
  const int64_t element = element_bytes(args.x_dtype);
  for (int64_t first = 0; first < args.n; first += kPiece) {
    const int64_t count = min64(kPiece, args.n - first);
    NarrowOut out(at(args.y, row * args.y_row_bytes), args.y_dtype, first, past);
    narrow(count, out, [=, &args](int64_t i, auto span) __attribute__((always_inline)) {
      prefetch(at(from.x, (first + i) * element), args.x_row_bytes);
      return quotient.of(from.value(first + i, span), offset);
    });
    out.finish(count);
  }
}

template <class T, bool kSmooth>
void dynamic_row(const DynamicQuantArgs& args, int64_t row, bool past) {
  const int64_t smooth_row = args.smooth_row != nullptr ? args.smooth_row[row] : 0;
  const Row<T, kSmooth> from{at(args.x, row * args.x_row_bytes),
                             kSmooth ? at(args.smooth, smooth_row * args.n * element_bytes(args.x_dtype)) : nullptr};
  const Scaling by = scaling_of(from.range(args.n, args.offset != nullptr), args.y_dtype, args.offset != nullptr);
  args.scale[row] = by.scale;
  if (args.offset != nullptr) args.offset[row] = by.offset;
  if (by.zero) {
    char* y = static_cast<char*>(at(args.y, row * args.y_row_bytes));
    const int64_t bytes = args.y_dtype == DType::i4 ? args.n / 2 : args.n;
    for (int64_t i = 0; i < bytes; ++i) y[i] = 0;
  } else if (args.offset == nullptr && RoundedQuotient::safe(by.scale)) {
    write_dynamic<RoundedQuotient>(from, args, by, row, past);
  } else if (FusedQuotient::safe(by.scale)) {
    write_dynamic<FusedQuotient>(from, args, by, row, past);
  } else {
    write_dynamic<PlainQuotient>(from, args, by, row, past);
  }
}

}  // namespace

void dynamic_quant(const DynamicQuantArgs& args, Lane& lane) {
  const bool past = past_caches(args.rows * args.y_row_bytes);
  lane.team->parallel_for(args.rows, grain_of(2 * kQuantWork * args.n), [&](int64_t begin, int64_t end) {
    with_float(args.x_dtype, [&]<class T>(T) {
      for (int64_t row = begin; row < end; ++row) {
        if (args.smooth != nullptr) {
          dynamic_row<T, true>(args, row, past);
        } else {
          dynamic_row<T, false>(args, row, past);
        }
      }
    });
    stream_fence();
  });
}

}  // namespace tandem::TANDEM_ISA
