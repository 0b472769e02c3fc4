// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/reference/element.h"
#include "tandem/kernels/reference/table.h"

namespace tandem::reference {
namespace {

double weight_at(const GemmArgs& args, int64_t kk, int64_t c) {
  const double stored = get(args.w.data, args.w.dtype, weight_index(args.w, args.k, kk, c));
  if (args.w.panel == 0 || args.w.dtype != DType::i4) return stored;
  return stored < 0 ? stored + 8 : stored - 8;  // packed as w + 8
}

double scale_at(const ScaleView& view, int64_t group, int64_t c, double absent) {
  return view.data == nullptr ? absent : get(view.data, view.dtype, group * view.stride_group + c * view.stride_n);
}

// The sum over [first, last) of k with the dequantised weights.
double partial(const GemmArgs& args, int64_t row, int64_t c, int64_t first, int64_t last) {
  const void* x = args.x_rows != nullptr ? args.x_rows[row] : at(args.x, row * args.x_row_bytes);
  const bool scaled = args.scale.data != nullptr;
  double sum = 0;
  for (int64_t kk = first; kk < last; ++kk) {
    const int64_t group = args.group > 0 ? kk / args.group : 0;
    double w = weight_at(args, kk, c);
    if (scaled) w = (w + scale_at(args.offset, group, c, 0)) * scale_at(args.scale, group, c, 1);
    sum += get(x, args.x_dtype, kk) * w;
  }
  if (args.x_dtype != DType::i8) return sum;
  const double token = args.token == nullptr ? 1.0 : static_cast<double>(args.token[row]);
  return sum * scale_at(args.dequant, 0, c, 1) * token;
}

}  // namespace

void gemm(const GemmArgs& args, Lane&) {
  for (int64_t row = 0; row < args.m; ++row) {
    void* y = args.y_rows != nullptr ? args.y_rows[row] : at(args.y, row * args.y_row_bytes);
    for (int64_t c = 0; c < args.n; ++c) {
      if (!args.split_leaves) {
        const double sum = partial(args, row, c, 0, args.k);
        if (args.y_dtype == DType::i32) {
          static_cast<int32_t*>(y)[c] = static_cast<int32_t>(static_cast<int64_t>(sum));
        } else {
          put(y, args.y_dtype, c, sum);
        }
        continue;
      }
      for (int64_t j = 0; j < args.leaves; ++j) {
        const double leaf = partial(args, row, c, j * args.k / args.leaves, (j + 1) * args.k / args.leaves);
        put(y, DType::f32, j * args.n + c, leaf);
      }
    }
  }
}

void combine(const CombineArgs& args, Lane&) {
  for (int64_t row = 0; row < args.m; ++row) {
    for (int64_t c = 0; c < args.n; ++c) {
      double sum = 0;
      for (int64_t term = row * args.terms; term < (row + 1) * args.terms; ++term) {
        for (int64_t j = 0; j < args.leaves; ++j) {
          sum += static_cast<double>(args.weights[term]) * static_cast<double>(args.inputs[term][j * args.n + c]);
        }
      }
      put(args.y_rows[row], DType::f32, c, sum);
    }
  }
}

}  // namespace tandem::reference
