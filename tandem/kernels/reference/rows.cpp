// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>
#include <vector>

#include "tandem/kernels/reference/element.h"
#include "tandem/kernels/reference/table.h"

namespace tandem::reference {
namespace {

// y = x + residual; the norm is fed by the rounded y, as everywhere.
void add_row(const AddRmsNormArgs& args, int64_t row, float* rounded) {
  const void* x = args.x_rows != nullptr ? args.x_rows[row] : at(args.x, row * args.x_row_bytes);
  alignas(4) unsigned char element[4];
  for (int64_t c = 0; c < args.n; ++c) {
    double v = get(x, args.x_dtype, c);
    if (args.residual != nullptr) v += get(at(args.residual, row * args.residual_row_bytes), args.dtype, c);
    put(element, args.dtype, 0, v);
    rounded[c] = static_cast<float>(get(element, args.dtype, 0));
    if (args.y != nullptr) put(at(args.y, row * args.y_row_bytes), args.dtype, c, v);
  }
}

void norm_row(const AddRmsNormArgs& args, int64_t row, const float* y) {
  const int64_t n = args.n / args.heads;
  for (int64_t head = 0; head < args.heads; ++head) {
    double squares = 0;
    for (int64_t c = 0; c < n; ++c) squares += static_cast<double>(y[head * n + c]) * static_cast<double>(y[head * n + c]);
    const double rstd = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(args.epsilon));
    if (args.rstd != nullptr) args.rstd[row * args.heads + head] = static_cast<float>(rstd);
    for (int64_t c = 0; c < n; ++c) {
      const double value = static_cast<double>(y[head * n + c]) * rstd * get(args.gamma, args.dtype, c);
      put(at(args.norm, row * args.norm_row_bytes), args.dtype, head * n + c, value);
    }
  }
}

}  // namespace

void add_rms_norm(const AddRmsNormArgs& args, Lane&) {
  const std::unique_ptr<float[]> rounded(new float[static_cast<size_t>(args.n) + 1]);
  for (int64_t row = 0; row < args.rows; ++row) {
    add_row(args, row, rounded.get());
    if (args.norm != nullptr) norm_row(args, row, rounded.get());
  }
}

void sum_rows(const SumRowsArgs& args, Lane&) {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t c = 0; c < args.n; ++c) {
      double sum = 0;
      for (int rank = 0; rank < args.ranks; ++rank) sum += static_cast<double>(args.inputs[rank * args.rows + row][c]);
      for (int i = 0; i < args.biases; ++i) sum += static_cast<double>(args.bias[i][c]);
      put(args.y_rows[row], DType::f32, c, sum);
    }
  }
}

void add_rows(const AddRowsArgs& args, Lane&) {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t c = 0; c < args.n; ++c) {
      put(args.y_rows[row], DType::f32, c,
          static_cast<double>(args.y_rows[row][c]) + get(args.x_rows[row], args.x_dtype, c));
    }
  }
}

void cast(const CastArgs& args, Lane&) {
  for (int64_t i = 0; i < args.count; ++i) put(args.y, args.y_dtype, i, get(args.x, args.x_dtype, i));
}

void softmax(const SoftmaxArgs& args, Lane&) {
  for (int64_t row = 0; row < args.rows; ++row) {
    const void* x = at(args.x, row * args.x_row_bytes);
    std::vector<double> e(static_cast<size_t>(args.n));
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < args.n; ++c) top = std::fmax(top, get(x, args.dtype, c));
    for (int64_t c = 0; c < args.n; ++c) sum += e[static_cast<size_t>(c)] = std::exp(get(x, args.dtype, c) - top);
    for (int64_t c = 0; c < args.n; ++c) put(at(args.y, row * args.y_row_bytes), args.dtype, c, e[static_cast<size_t>(c)] / sum);
  }
}

namespace {

// The two elements of a head that turn by angle i.
std::pair<int64_t, int64_t> pair_of(const RopeArgs& args, int64_t i) {
  const int64_t half = args.head_dim / 2, quarter = args.head_dim / 4;
  if (args.form == RopeForm::interleave) return {2 * i, 2 * i + 1};
  if (args.form == RopeForm::half) return {i, i + half};
  return i < quarter ? std::pair(i, i + quarter) : std::pair(i + quarter, i + half);
}

}  // namespace

void rope(const RopeArgs& args, Lane&) {
  const int64_t half = args.head_dim / 2;
  for (int64_t row = 0; row < args.rows; ++row) {
    void* x = at(args.x, row * args.row_bytes);
    for (int64_t i = 0; i < args.heads * half; ++i) {
      const auto [a, b] = pair_of(args, i % half);
      const int64_t first = i / half * args.head_dim, angle = args.positions[row] * half + i % half;
      const double low = get(x, args.dtype, first + a), high = get(x, args.dtype, first + b);
      const double c = static_cast<double>(args.cos[angle]), s = static_cast<double>(args.sin[angle]);
      put(x, args.dtype, first + a, low * c - high * s);
      put(x, args.dtype, first + b, high * c + low * s);
    }
  }
}

}  // namespace tandem::reference
