// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

// How a product is cut so that its pieces stay in the caches. Results never depend on it.
namespace tandem {

// What the register tile of a table is.
struct TileShape {
  int64_t rows = 0;     // at most
  int64_t columns = 0;  // of one strip
  int64_t panel = 0;    // columns of one pass over k
};

struct Blocking {
  int64_t k_block = 0;    // rows of k decoded at once: a strip of them and two tiles of activations stay in L1
  int64_t row_chunk = 0;  // rows of one pass over the weights: their sums and activations of a k block stay in L2

  std::string text() const;
};

Blocking blocking_from(const TileShape& shape, int64_t l1_bytes, int64_t l2_bytes);
// For this machine's caches, as exec/topology knows them.
Blocking blocking_of(const TileShape& shape);

}  // namespace tandem
