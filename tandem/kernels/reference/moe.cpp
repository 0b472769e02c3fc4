// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <vector>

#include "tandem/kernels/reference/element.h"
#include "tandem/kernels/reference/table.h"

namespace tandem::reference {
namespace {

void route_row(const TopKArgs& args, int64_t row) {
  const float* logits = args.logits + row * args.experts;
  std::vector<int32_t> order(static_cast<size_t>(args.experts));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    if (std::isnan(logits[b])) return !std::isnan(logits[a]);
    return logits[a] > logits[b];
  });
  const double top = static_cast<double>(logits[order[0]]);
  double sum = 0;
  for (int64_t i = 0; i < args.experts; ++i) sum += std::exp(static_cast<double>(logits[i]) - top);
  order.resize(static_cast<size_t>(args.top_k));
  std::sort(order.begin(), order.end());
  double chosen = 0;
  for (const int32_t id : order) chosen += std::exp(static_cast<double>(logits[id]) - top);
  for (size_t k = 0; k < order.size(); ++k) {
    const int64_t place = row * args.top_k + static_cast<int64_t>(k);
    args.expert[place] = order[k];
    const double p = std::exp(static_cast<double>(logits[order[k]]) - top);
    put(args.weight, DType::f32, place, p / (args.normalise ? chosen : sum));
  }
}

}  // namespace

void top_k(const TopKArgs& args, Lane&) {
  for (int64_t row = 0; row < args.rows; ++row) route_row(args, row);
}

void swiglu(const SwigluArgs& args, Lane&) {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t c = 0; c < args.n; ++c) {
      const double gate = get(at(args.gate, row * args.gate_row_bytes), args.dtype, c);
      const double up = get(at(args.up, row * args.up_row_bytes), args.dtype, c);
      put(at(args.y, row * args.y_row_bytes), args.dtype, c, gate / (1 + std::exp(-gate)) * up);
    }
  }
}

}  // namespace tandem::reference
