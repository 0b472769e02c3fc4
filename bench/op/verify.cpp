// SPDX-License-Identifier: Apache-2.0
#include "bench/op/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tandem/check/fused_oracle.h"

namespace tandem::bench::op {

using fused::RankData;
using fused::Stored;

namespace {

// The rows of every operand that has a row for each row of the output.
RankData pick_rows(const RankData& data, const std::vector<int64_t>& rows) {
  RankData picked = data;
  for (const char* name : {"x1", "x3", "residual", "token"}) {
    const auto found = picked.find(name);
    if (found == picked.end()) continue;
    Stored& stored = found->second;
    const bool token = std::string_view(name) == "token";
    const size_t bytes = dtype_bytes(stored.dtype, token ? 1 : stored.cols);
    std::vector<std::byte> kept;
    for (const int64_t row : rows) {
      const auto from = stored.bytes.begin() + row * static_cast<int64_t>(bytes);
      kept.insert(kept.end(), from, from + static_cast<int64_t>(bytes));
    }
    stored.bytes = std::move(kept);
    (token ? stored.cols : stored.rows) = static_cast<int64_t>(rows.size());
  }
  return picked;
}

std::vector<std::byte> pick_out(const std::vector<std::byte>& out, size_t bytes, const std::vector<int64_t>& rows) {
  std::vector<std::byte> picked;
  for (const int64_t row : rows) {
    if (out.empty()) break;
    const auto from = out.begin() + row * static_cast<int64_t>(bytes);
    picked.insert(picked.end(), from, from + static_cast<int64_t>(bytes));
  }
  return picked;
}

}  // namespace

Verifier::Verifier(const Operands& operands, int rank) : fast_(operands.problem().math == Math::fast) {
  const OpProblem& p = operands.problem();
  const bool scattered = p.kind == OpKind::reduce_scatter;
  const int64_t first = scattered ? p.first_row(rank) : 0, count = operands.out_rows();
  std::set<int64_t> chosen;
  if (count > 0) chosen = {0, count / 2, count - 1};
  std::vector<int64_t> rows;
  for (const int64_t row : chosen) {
    out_rows_.push_back(row);
    rows.push_back(first + row);
  }
  rows_problem_ = p.data;
  rows_problem_.m = static_cast<int64_t>(rows.size());
  for (int other = 0; other < p.data.ranks; ++other) data_.push_back(pick_rows(make_rank(p.data, other), rows));
}

std::string Verifier::check(const fused::Outputs& out, double slack) const {
  if (out_rows_.empty()) return "";
  fused::Reference wanted = reference(rows_problem_, data_, 0);
  // Fast arithmetic rounds activations to 16 bits of the largest in their block.
  const double relative = fast_ ? 0x1p-9 : 0;
  double largest = 0;
  for (const double y : wanted.y) largest = std::max(largest, std::abs(y));
  for (double& bound : wanted.y_bound) bound = bound * slack + relative * largest;
  for (size_t i = 0; i < wanted.norm.size(); ++i) {
    wanted.norm_bound[i] = wanted.norm_bound[i] * slack + relative * (1 + std::abs(wanted.norm[i]));
  }
  const size_t bytes = dtype_bytes(rows_problem_.output, rows_problem_.n);
  return compare_result(rows_problem_, wanted, pick_out(out.y, bytes, out_rows_), pick_out(out.norm, bytes, out_rows_));
}

}  // namespace tandem::bench::op
