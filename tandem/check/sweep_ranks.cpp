// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <numeric>

#include "tandem/check/sweep.h"
#include "tandem/check/sweep_split.h"
#include "tandem/kernels/table_scope.h"

namespace tandem::check {
namespace {

std::vector<int64_t> draw_counts(Maker& m) {
  std::vector<int64_t> counts(static_cast<size_t>(m.between(1, 4)));
  for (int64_t& count : counts) count = m.chance(20) ? 0 : m.between(1, 9);
  if (std::accumulate(counts.begin(), counts.end(), int64_t{0}) == 0) counts.back() = 1;
  return counts;
}

nlohmann::json draw_moe(Maker& m) {
  const int64_t experts = m.between(2, 6);
  return {{"rows", m.between(1, 12)},
          {"hidden", 8 * m.between(1, 6)},
          {"inner", 16 * m.between(1, 4)},
          {"experts", experts},
          {"top_k", m.between(1, std::min<int64_t>(experts, 3))},
          {"dtype", m.float_type()},
          {"quantised", m.chance(40)},
          {"gated", m.chance(60)},
          {"normalise", m.chance(50)},
          {"capacity", m.chance(20) ? m.between(1, 4) : 0},
          {"seed", m.between(1, 1 << 30)}};
}

}  // namespace

std::optional<Miss> Sweep::run_rows(const std::string& operation, int64_t index, Tally& tally) {
  Maker maker(seed_of(operation, index));
  nlohmann::json member = draw_fused(maker);
  const std::vector<int64_t> counts = draw_counts(maker);
  const bool scattered = operation == "mm_reduce_scatter";
  const auto ranks = static_cast<int>(counts.size());
  member["m"] = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  member["ranks"] = scattered ? ranks : 1;
  member["total_k"] = member.at("total_k").get<int64_t>() / 4 * (scattered ? ranks : 1);
  member["quant"] = "none";
  member["wire"] = false;
  if (!scattered) member["x3"] = "none", member["reduction"] = "sum";
  const fused::Problem problem = fused::parse_problem(member);
  const auto data = fused::make_ranks(problem);
  member["counts"] = counts;
  std::optional<fused::Outputs> first;
  for (const KernelTable* table : tables_) {
    const auto miss = [&](const std::string& what) {
      return Miss{operation, index, std::string(table->name), what, member.dump()};
    };
    const auto group = group_of(ranks);
    if (!group) return miss(group.error().message);
    const FaultyTable faulty(fault_, *table);
    const TableScope scope(faulty.table());
    const auto split = scattered ? fused::Split::scattered : fused::Split::gathered;
    const auto result = fused::run_split(**group, problem, counts, split);
    if (!result) {
      groups_.erase(ranks);
      return miss(result.error().message);
    }
    const bool common = table->name != "reference";
    auto wrong = judge_fused(problem, data, {*result}, !first || !common ? &tally : nullptr);
    if (wrong.empty() && first && common && !(*result == *first)) wrong = "other bits than the first result";
    if (!wrong.empty()) return miss(wrong);
    if (!first && common) first = *result;
  }
  return std::nullopt;
}

// Alone, with the inner columns over two ranks and with the experts over two: equal bits.
std::optional<Miss> Sweep::run_moe(int64_t index, Tally& tally) {
  Maker maker(seed_of("moe_ffn", index));
  const nlohmann::json member = draw_moe(maker);
  const moe_ffn_case::Problem problem = moe_ffn_case::parse_problem(member);
  const moe_ffn_case::Data data = make_data(problem);
  const moe_ffn_case::Wanted wanted = reference(problem, data);
  using moe_ffn_case::Spread;
  std::optional<moe_ffn_case::Result> first;
  for (const KernelTable* table : tables_) {
    const FaultyTable faulty(fault_, *table);
    const TableScope scope(faulty.table());
    const bool common = table->name != "reference";
    for (const Spread& spread : {Spread{}, Spread{2, false, {}}, Spread{2, true, {}}}) {
      const auto miss = [&](const std::string& what) {
        const char* how = spread.expert_parallel ? "experts over" : "columns over";
        return Miss{"moe_ffn", index, std::string(table->name), fmt::format("{} {}: {}", how, spread.ranks, what),
                    member.dump()};
      };
      const auto result = moe_groups_.run(problem, data, spread);
      if (!result) return miss(result.error().message);
      if (first && common) {
        if (!(*result == *first)) return miss("other bits than the first result");
        continue;
      }
      if (auto wrong = compare_wanted(problem, wanted, *result); !wrong.empty()) return miss(wrong);
      for (size_t i = 0; i < wanted.y.size(); ++i) {
        const double got = fused::load(problem.dtype, result->y.data(), static_cast<int64_t>(i));
        count(tally, problem.dtype, got, wanted.y[i], wanted.bound[i]);
      }
      if (common) first = *result;
    }
  }
  return std::nullopt;
}

}  // namespace tandem::check
