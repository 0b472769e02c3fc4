// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#pragma GCC visibility push(default)
namespace tandem {

  // cos and sin of position * theta^(-2i/head_dim), [positions][head_dim / 2], computed in double and rounded once.
  struct RopeTable {
    std::vector<float> cos, sin;
    RopeTable() = default;
    RopeTable(int64_t positions, int64_t head_dim, double theta);
  };

}  // namespace tandem
#pragma GCC visibility pop
