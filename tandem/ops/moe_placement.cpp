// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <tuple>

#include "tandem/ops/moe_ffn.h"

namespace tandem {

std::vector<int32_t> place_experts(std::span<const int64_t> load, int ranks) {
  std::vector<int32_t> owner(load.size(), 0);
  if (ranks <= 1) return owner;
  const auto size = static_cast<size_t>(ranks);
  const int64_t room = (static_cast<int64_t>(load.size()) + ranks - 1) / ranks;
  std::vector<size_t> order(load.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return load[a] > load[b]; });
  std::vector<int64_t> sum(size, 0), count(size, 0);
  for (const size_t expert : order) {
    size_t best = 0;
    const auto rank_key = [&](size_t r) { return std::tuple(count[r] >= room, sum[r], count[r], r); };
    for (size_t rank = 1; rank < size; ++rank) {
      if (rank_key(rank) < rank_key(best)) best = rank;
    }
    owner[expert] = static_cast<int32_t>(best);
    sum[best] += load[expert];
    ++count[best];
  }
  return owner;
}

}  // namespace tandem
