// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/blocking.h"

#include <algorithm>

#include "tandem/exec/topology.h"

namespace tandem {
namespace {

constexpr int64_t kFloat = sizeof(float);
constexpr int64_t kSlots = 6;     // sums kept per output: of the run, of the leaf, of the levels of the tree
constexpr int64_t kStepK = 32;    // k blocks are whole multiples
constexpr int64_t kMostK = 256;

}  // namespace

std::string Blocking::text() const {
  return "k block " + std::to_string(k_block) + ", row chunk " + std::to_string(row_chunk);
}

Blocking blocking_from(const TileShape& shape, int64_t l1_bytes, int64_t l2_bytes) {
  Blocking result;
  const int64_t bytes_of_k = kFloat * (shape.columns + 2 * shape.rows);
  result.k_block = std::clamp(l1_bytes * 3 / 4 / bytes_of_k / kStepK * kStepK, kStepK, kMostK);
  const int64_t bytes_of_row = kFloat * (kSlots * shape.panel + result.k_block);
  result.row_chunk = std::max<int64_t>(1, l2_bytes / 2 / bytes_of_row / shape.rows) * shape.rows;
  return result;
}

Blocking blocking_of(const TileShape& shape) {
  const Topology& facts = topology();
  return blocking_from(shape, static_cast<int64_t>(facts.l1d_bytes), static_cast<int64_t>(facts.l2_bytes));
}

}  // namespace tandem
