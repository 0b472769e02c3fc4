// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "bench/op/operands.h"

namespace tandem::bench::op {

// Rows of a rank's results against sums in double of the stored operands of all ranks.
class Verifier {
 public:
  Verifier(const Operands& operands, int rank);
  // "" where every element of the looked-at rows lies within the bound; `slack` widens it for sums in another order.
  std::string check(const fused::Outputs& out, double slack) const;

 private:
  fused::Problem rows_problem_;
  std::vector<int64_t> out_rows_;  // where the rows lie in the output
  std::vector<fused::RankData> data_;
  bool fast_ = false;
};

}  // namespace tandem::bench::op
