// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tandem/kernels/reference/element.h"
#include "tandem/kernels/reference/table.h"

namespace tandem::reference {
namespace {

double column(const PerColumn& operand, int64_t c, double absent) {
  return operand.data == nullptr ? absent : get(operand.data, operand.dtype, operand.single ? 0 : c);
}

double rounded(double v, Rounding rounding) {
  switch (rounding) {
    case Rounding::half_even: return std::nearbyint(v);
    case Rounding::floor: return std::floor(v);
    case Rounding::ceil: return std::ceil(v);
    case Rounding::truncate: return std::trunc(v);
  }
  return v;
}

double saturated(double v, DType type, Rounding rounding) {
  if (std::isnan(v)) return 0;
  return rounded(type == DType::i4 ? std::clamp(v, -8.0, 7.0) : std::clamp(v, -128.0, 127.0), rounding);
}

void put_integer(void* y, DType type, int64_t i, double value) {
  if (type == DType::i4) return int4_set(static_cast<uint8_t*>(y), i, static_cast<int>(value));
  static_cast<int8_t*>(y)[i] = static_cast<int8_t>(value);
}

}  // namespace

void quantize(const QuantizeArgs& args, Lane&) {
  for (int64_t i = 0; i < args.rows * args.n; ++i) {
    const int64_t row = i / args.n, c = i % args.n;
    double v = get(at(args.x, row * args.x_row_bytes), args.x_dtype, c);
    const double scale = column(args.scale, c, 1), offset = column(args.offset, c, 0);
    for (int k = 0; k < (args.square ? 2 : 1); ++k) v = args.divide ? v / scale : v * scale;
    if (args.offset_last) v = saturated(v, args.y_dtype, args.rounding);
    put_integer(at(args.y, row * args.y_row_bytes), args.y_dtype, c,
                saturated(v + offset, args.y_dtype, args.rounding));
  }
}

void dequantize(const DequantizeArgs& args, Lane&) {
  for (int64_t i = 0; i < args.rows * args.n; ++i) {
    const int64_t row = i / args.n, c = i % args.n;
    const double scale = column(args.scale, c, 1);
    double v = (get(at(args.x, row * args.x_row_bytes), args.x_dtype, c) + column(args.offset, c, 0)) * scale;
    if (args.square) v *= scale;
    if (args.row_scale != nullptr) v *= static_cast<double>(args.row_scale[row]);
    put(at(args.y, row * args.y_row_bytes), args.y_dtype, c, v);
  }
}

void dynamic_quant(const DynamicQuantArgs& args, Lane&) {
  const double top = args.y_dtype == DType::i4 ? 7 : 127, steps = args.y_dtype == DType::i4 ? 15 : 255;
  for (int64_t row = 0; row < args.rows; ++row) {
    const auto value = [&](int64_t c) {
      const double v = get(at(args.x, row * args.x_row_bytes), args.x_dtype, c);
      const int64_t smooth_row = args.smooth_row == nullptr ? 0 : args.smooth_row[row];
      return args.smooth == nullptr ? v : v * get(args.smooth, args.x_dtype, smooth_row * args.n + c);
    };
    double low = args.n > 0 ? value(0) : 0, high = low;
    bool finite = true, nan = false;
    for (int64_t c = 0; c < args.n; ++c) {
      low = std::min(low, value(c)), high = std::max(high, value(c));
      finite = finite && std::isfinite(value(c));
      nan = nan || std::isnan(value(c));
    }
    if (nan) low = high = std::nan("");
    const bool symmetric = args.offset == nullptr;
    const double scale = symmetric ? std::max(high, -low) / top : std::max((high - low) / steps, 1e-12);
    const double offset = symmetric ? 0 : finite ? top - high / scale : std::nan("");
    args.scale[row] = static_cast<float>(scale);
    if (!symmetric) args.offset[row] = static_cast<float>(offset);
    for (int64_t c = 0; c < args.n; ++c) {
      const double v = finite && scale != 0 ? value(c) / scale + offset : 0;
      put_integer(at(args.y, row * args.y_row_bytes), args.y_dtype, c, saturated(v, args.y_dtype, Rounding::half_even));
    }
  }
}

}  // namespace tandem::reference
