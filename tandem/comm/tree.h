// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <bit>

#pragma GCC visibility push(default)
namespace tandem {

// tree(v0..vn-1): n = 1 -> v0; else tree(first h) + tree(rest), h the largest power of two below n.
// `leaf(i)` gives v_i, `add(a, b)` the sum.
template <class Leaf, class Add>
auto tree_reduce(int first, int count, const Leaf& leaf, const Add& add) -> decltype(leaf(0)) {
  if (count == 1) return leaf(first);
  const int half = static_cast<int>(std::bit_floor(static_cast<unsigned>(count - 1)));
  return add(tree_reduce(first, half, leaf, add), tree_reduce(first + half, count - half, leaf, add));
}

// Leaves of its own k that a rank of `ranks` sums first: 8 over the next power of two, at least 1.
constexpr int leaves_per_rank(int ranks) {
  const int padded = static_cast<int>(std::bit_ceil(static_cast<unsigned>(ranks)));
  return padded >= 8 ? 1 : 8 / padded;
}

}  // namespace tandem
#pragma GCC visibility pop
