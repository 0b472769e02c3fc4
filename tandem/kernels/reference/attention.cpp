// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "tandem/kernels/reference/element.h"
#include "tandem/kernels/reference/table.h"

namespace tandem::reference {
namespace {

int64_t cache_element(const PagedAttentionArgs& args, int64_t row, int64_t t, int64_t kv_head) {
  const int64_t slot = args.block_tables[row][t / args.block_size] * args.block_size + t % args.block_size;
  return (slot * args.kv_heads + kv_head) * args.head_dim;
}

DType cache_type(const PagedAttentionArgs& args) { return args.cache_dtype == DType::none ? args.dtype : args.cache_dtype; }

// Element d of a position's key (which 0) or value (1).
double cached(const PagedAttentionArgs& args, int64_t which, int64_t row, int64_t t, int64_t kv_head, int64_t d) {
  const void* cache = which == 0 ? args.key_cache : args.value_cache;
  const double x = get(cache, cache_type(args), cache_element(args, row, t, kv_head) + d);
  if (cache_type(args) != DType::i8) return x;
  const int64_t column = (which * args.kv_heads + kv_head) * args.head_dim + d;
  const double shift = args.cache_shift == nullptr ? 0 : static_cast<double>(args.cache_shift[column]);
  return (x + shift) * static_cast<double>(args.cache_scale[column]);
}

// exp(score - max) for every position.
std::vector<double> weights_of(const PagedAttentionArgs& args, int64_t row, int64_t head, int64_t kv_head) {
  std::vector<double> p(static_cast<size_t>(args.lengths[row]));
  const void* query = at(args.query, row * args.query_row_bytes);
  for (int64_t t = 0; t < args.lengths[row]; ++t) {
    double sum = 0;
    for (int64_t d = 0; d < args.head_dim; ++d) {
      sum += get(query, args.dtype, head * args.head_dim + d) * cached(args, 0, row, t, kv_head, d);
    }
    sum *= static_cast<double>(args.scale);
    if (args.bias != nullptr) sum += static_cast<double>(args.bias[row * args.query_heads + head][t]);
    p[static_cast<size_t>(t)] = args.mask != nullptr && args.mask[row][t] != 0 ? -1e12 : sum;
  }
  const double top = *std::max_element(p.begin(), p.end());
  for (double& value : p) value = std::exp(value - top);
  return p;
}

void attend(const PagedAttentionArgs& args, int64_t row, int64_t head) {
  const int64_t kv_head = head / (args.query_heads / args.kv_heads);
  void* y = at(args.y, row * args.y_row_bytes);
  if (args.lengths[row] == 0) {
    for (int64_t d = 0; d < args.head_dim; ++d) put(y, args.dtype, head * args.head_dim + d, 0);
    return;
  }
  const std::vector<double> p = weights_of(args, row, head, kv_head);
  for (int64_t d = 0; d < args.head_dim; ++d) {
    double sum = 0, weight = 0;
    for (int64_t t = 0; t < args.lengths[row]; ++t) {
      sum += p[static_cast<size_t>(t)] * cached(args, 1, row, t, kv_head, d);
      weight += p[static_cast<size_t>(t)];
    }
    put(y, args.dtype, head * args.head_dim + d, sum / weight);
  }
}

}  // namespace

void paged_attention(const PagedAttentionArgs& args, Lane&) {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t head = 0; head < args.query_heads; ++head) attend(args, row, head);
  }
}

}  // namespace tandem::reference
