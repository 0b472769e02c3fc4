// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tandem/check/fused_oracle.h"
#include "tandem/check/operators.h"
#include "tandem/kernels/table_scope.h"

namespace tandem::check {
namespace {

constexpr const char* kFused = "mm_all_reduce";

bool gives_the_common_bits(const KernelTable& table) { return table.name != "reference"; }

// The spacing of a type's values at `value`.
double spacing(DType dtype, double value) {
  if (!is_float(dtype)) return 1;
  const int digits = dtype == DType::f16 ? 10 : dtype == DType::bf16 ? 7 : 23;
  const int least = dtype == DType::f16 ? -14 : -126;
  return std::ldexp(1, std::max(least, value == 0 ? least : std::ilogb(value)) - digits);
}

// "" or the first result outside its bound.
std::string judge(const Case& c, const Results& results, const std::map<std::string, Wanted>& all, Tally& tally) {
  for (const auto& [name, bytes] : results) {
    const auto found = all.find(name);
    if (found == all.end() && c.operand(name).elements() == 0) continue;
    if (found == all.end()) return name + " has no oracle, one of every result wanted";
    const Wanted& wanted = found->second;
    Operand got = c.operand(name);
    got.bytes = bytes.front();
    if (auto wrong = compare(name, got, wanted); !wrong.empty()) return wrong;
    for (int64_t i = 0; i < got.elements(); ++i) {
      const auto at = static_cast<size_t>(i);
      count(tally, got.dtype, got.at(i), wanted.values[at], wanted.bounds[at]);
    }
  }
  return {};
}

std::string which_differs(const Results& a, const Results& b) {
  for (const auto& [name, bytes] : a) {
    if (b.at(name) != bytes) return name;
  }
  return {};
}

const Family* find_family(const std::string& name) {
  static const std::vector<Family> kAll = all_families();
  const auto found = std::find_if(kAll.begin(), kAll.end(), [&](const Family& f) { return f.name == name; });
  return found == kAll.end() ? nullptr : &*found;
}

// int8 by int8, now and then with int8 between the ranks.
void draw_integers(Maker& m, nlohmann::json& member) {
  member["x1_dtype"] = member["weight"] = "i8";
  member["scales"] = m.one_of({"tensor", "channel"});
  member["scale_dtype"] = m.one_of({"f32", "f16", "bf16", "i64"});
  member["token"] = m.chance(50);
  member["wire"] = m.chance(40);
}

}  // namespace

nlohmann::json draw_fused(Maker& m) {
  nlohmann::json member{{"seed", m.between(1, 1 << 30)}, {"m", m.between(1, 24)}, {"offset", m.chance(50)}};
  const std::string type = m.float_type(), weight = m.one_of({"i8", "i4", "same"});
  const std::string scales = weight == "same" ? "none" : m.one_of({"tensor", "channel", "group"});
  const bool grouped = scales == "group", transposed = m.chance(50), nibbles = weight == "i4";
  const int64_t slice = grouped ? 32 * m.between(1, 2) : 2 * m.between(1, 20), n = m.between(1, 90);
  member["dtype"] = type;
  member["weight"] = weight == "same" ? type : weight;
  member["scales"] = scales;
  member["tail"] = m.chance(75);
  member["epsilon"] = m.chance(50) ? 1e-6 : 0.25;
  member["bias"] = m.one_of({"none", "first"});
  member["x3"] = m.one_of({"none", "none", "first"});
  member["transposed"] = transposed;
  member["scale_transposed"] = m.chance(50);
  if (grouped) member["group_size"] = 32;
  member["total_k"] = 4 * slice;
  member["n"] = nibbles && !transposed ? 2 * ((n + 1) / 2) : n;
  member["quant"] = m.one_of({"none", "none", "static", "dynamic"});
  if (m.chance(15)) member["reduction"] = m.one_of({"prod", "max", "min", "avg"});
  if (!member.contains("reduction") && m.chance(25)) draw_integers(m, member);
  return member;
}

void count(Tally& tally, DType dtype, double got, double wanted, double bound) {
  ++tally.elements;
  const double error = std::fabs(got - wanted);
  const bool comparable = std::isfinite(error) && std::isfinite(bound);
  if (comparable && bound > 0) tally.worst = std::max(tally.worst, error / bound);
  const double units = comparable ? error / spacing(dtype, wanted) : 0;
  const auto place = std::lower_bound(kUlps.begin(), kUlps.end(), units) - kUlps.begin();
  ++tally.ulps[static_cast<size_t>(place)];
}

std::vector<std::string> Sweep::operations() {
  std::vector<std::string> names;
  for (const Family& family : all_families()) names.emplace_back(family.name);
  for (const char* name : {kFused, "mm_reduce_scatter", "all_gather_mm", "moe_ffn"}) names.emplace_back(name);
  return names;
}

// FNV-1a over the name, mixed with seed and index.
uint64_t Sweep::seed_of(std::string_view operation, int64_t index) const {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char letter : operation) hash = (hash ^ static_cast<uint8_t>(letter)) * 0x100000001b3u;
  hash ^= seed_ * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(index) * 0xbf58476d1ce4e5b9u;
  return hash ^ (hash >> 29);
}

std::optional<Miss> Sweep::run(const std::string& operation, int64_t index, Tally& tally) {
  ++tally.cases;
  if (operation == kFused) return run_fused(index, tally);
  if (operation == "moe_ffn") return run_moe(index, tally);
  const bool rows = operation == "mm_reduce_scatter" || operation == "all_gather_mm";
  return rows ? run_rows(operation, index, tally) : run_single(operation, index, tally);
}

std::optional<Miss> Sweep::run_single(const std::string& operation, int64_t index, Tally& tally) {
  Maker maker(seed_of(operation, index));
  nlohmann::json spec = find_family(operation)->make(maker);
  spec["name"] = fmt::format("{} {}", seed_, index);
  const Case c = parse_case("check", spec);
  const Operator& op = find_operator(operation);
  const auto wanted = op.oracle(c);
  std::optional<Results> first;
  std::string first_table;
  for (const KernelTable* table : tables_) {
    const std::string name(table->name);
    const FaultyTable faulty(fault_, *table);
    const TableScope scope(faulty.table());
    const Outcome outcome = op.call(c);
    if (outcome.status != 0) return Miss{operation, index, name, outcome.message, spec.dump()};
    if (!first || !gives_the_common_bits(*table)) {
      if (auto wrong = judge(c, outcome.results, wanted, tally); !wrong.empty())
        return Miss{operation, index, name, wrong, spec.dump()};
    } else if (auto wrong = which_differs(*first, outcome.results); !wrong.empty()) {
      return Miss{operation, index, first_table + "," + name, wrong + " has other bits", spec.dump()};
    }
    if (!first) first = outcome.results, first_table = name;
  }
  return std::nullopt;
}

Expected<fused::CppGroup*> Sweep::group_of(int ranks) {
  auto found = groups_.find(ranks);
  if (found == groups_.end()) {
    auto made = fused::CppGroup::make(ranks);
    if (!made) return fail(made.error());
    found = groups_.emplace(ranks, std::move(*made)).first;
  }
  return &found->second;
}

Expected<std::vector<fused::Outputs>> Sweep::call_fused(const fused::Problem& problem,
                                                        const std::vector<fused::RankData>& data,
                                                        const KernelTable& table) {
  const auto group = group_of(problem.ranks);
  if (!group) return fail(group.error());
  const FaultyTable faulty(fault_, table);
  const TableScope scope(faulty.table());
  const bool twice = fault_ != nullptr && fault_->residual_per_rank;
  auto results = (*group)->run(problem, data, [&](int rank, MmAllReduce& op) {
    if (twice && rank > 0 && op.then && !op.x3.present()) op.x3 = op.then->residual;
  });
  if (!results) groups_.erase(problem.ranks);
  return results;
}

std::string Sweep::judge_fused(const fused::Problem& problem, const std::vector<fused::RankData>& data,
                               const std::vector<fused::Outputs>& results, Tally* tally) const {
  for (const fused::Outputs& rank : results) {
    if (!(rank == results.front())) return "ranks have other bits";
  }
  if (tally == nullptr) return {};
  const fused::Reference wanted = fused::reference(problem, data, 0);
  const fused::Outputs& got = results.front();
  auto wrong = fused::compare_result(problem, wanted, got.y, got.norm);
  const auto add = [&](const std::vector<std::byte>& bytes, const std::vector<double>& values,
                       const std::vector<double>& bounds) {
    for (size_t i = 0; i < values.size(); ++i) {
      const double value = fused::load(problem.output, bytes.data(), static_cast<int64_t>(i));
      count(*tally, problem.output, value, values[i], bounds[i]);
    }
  };
  if (!wrong.empty()) return wrong;
  add(got.y, wanted.y, wanted.y_bound);
  add(got.norm, wanted.norm, wanted.norm_bound);
  return {};
}

// The same problem on 1, 2 and 4 ranks as threads: equal bits, and within the bounds.
std::optional<Miss> Sweep::run_fused(int64_t index, Tally& tally) {
  Maker maker(seed_of(kFused, index));
  nlohmann::json member = draw_fused(maker);
  std::optional<fused::Outputs> first;
  for (const int ranks : {1, 2, 4}) {
    member["ranks"] = ranks;
    const fused::Problem problem = fused::parse_problem(member);
    const auto data = fused::make_ranks(problem);
    if (problem.own_terms()) first.reset();  // no promise across rank counts
    for (const KernelTable* table : tables_) {
      const auto miss = [&](const std::string& what) {
        return Miss{kFused, index, std::string(table->name), fmt::format("{} ranks: {}", ranks, what), member.dump()};
      };
      const auto results = call_fused(problem, data, *table);
      if (!results) return miss(results.error().message);
      const bool common = gives_the_common_bits(*table);
      auto wrong = judge_fused(problem, data, *results, !first || !common ? &tally : nullptr);
      if (wrong.empty() && first && common && !(results->front() == *first)) wrong = "other bits than the first result";
      if (!wrong.empty()) return miss(wrong);
      if (!first && common) first = results->front();
    }
  }
  return std::nullopt;
}

}  // namespace tandem::check
