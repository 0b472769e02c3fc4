// SPDX-License-Identifier: Apache-2.0
#include "tests/group_a/judge.h"

#include <fmt/format.h>

#include <cmath>

#include "tandem/check/fused_oracle.h"

namespace tandem::group_a {
namespace {

using fused::Problem;
using fused::RankData;

std::string all_equal(DType dtype, const std::vector<std::byte>& bytes, double wanted, const char* name) {
  const int64_t count = static_cast<int64_t>(bytes.size()) * 8 / dtype_bits(dtype);
  for (int64_t i = 0; i < count; ++i) {
    const double got = fused::load(dtype, bytes.data(), i);
    const bool same = std::isnan(wanted) ? std::isnan(got) : got == wanted;
    if (!same) return fmt::format("{}[{}] = {}, {} wanted everywhere", name, i, got, wanted);
  }
  return {};
}

std::string own_expectation(const Case& test, const RankData& data, const Snapshot& got) {
  const DType dtype = test.problem.output;
  std::string text;
  if (test.y_all) text = all_equal(dtype, got.y, *test.y_all, "y");
  if (text.empty() && test.norm_all) text = all_equal(dtype, got.norm, *test.norm_all, "normOut");
  if (text.empty() && test.y_is_residual && got.y != fused::operand(data, "residual").bytes)
    text = "y is not the residual";
  return text;
}

std::string against_reference(const Case& test, const std::vector<RankData>& data, const Snapshot& got, int rank) {
  const fused::Reference wanted = fused::reference(test.problem, data, rank);
  return fused::compare_result(test.problem, wanted, got.y, got.norm);
}

std::string same_everywhere(const Case& test, const std::vector<std::vector<Snapshot>>& snapshots) {
  for (const auto& checks : snapshots) {
    for (const Snapshot& check : checks) {
      if (check != checks.front()) return "two runs gave different bits";
    }
    if (!test.by_rank() && checks.front() != snapshots.front().front()) return "the ranks have different bits";
  }
  return {};
}

}  // namespace

std::string Judge::judge(const Case& test, const std::vector<RankData>& data,
                         const std::vector<std::vector<Snapshot>>& snapshots) {
  if (snapshots.empty() || snapshots.front().empty() || test.empty) return {};
  if (std::string text = same_everywhere(test, snapshots); !text.empty()) return text;
  const int judged = test.by_rank() ? test.problem.ranks : 1;
  for (int rank = 0; rank < judged; ++rank) {
    const Snapshot& got = snapshots[static_cast<size_t>(rank)].front();
    std::string text = against_reference(test, data, got, rank);
    if (text.empty()) text = own_expectation(test, data[static_cast<size_t>(rank)], got);
    if (!text.empty()) return fmt::format("rank {}: {}", rank, text);
  }
  first_rank_[test.id] = snapshots.front().front();
  if (test.same_as.empty()) return {};
  const auto other = first_rank_.find(test.same_as);
  if (other == first_rank_.end()) return "there is no result of " + test.same_as + " to compare with";
  return other->second == first_rank_[test.id] ? "" : "the bits differ from those of " + test.same_as;
}

}  // namespace tandem::group_a
