// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/check/faults.h"
#include "tandem/check/fused_group.h"
#include "tandem/check/maker.h"
#include "tandem/check/moe_ffn_group.h"
#include "tandem/check/oracle.h"
#include "tandem/kernels/table.h"

// Random cases of every operator against the double oracle, on every kernel table of this machine with equal bits.
namespace tandem::check {

// Ends of the classes of errors in units in the last place; behind the last: more.
inline constexpr std::array kUlps = {0.5, 1.0, 2.0, 8.0, 64.0};

// What the results of one operator came to.
struct Tally {
  int64_t cases = 0, elements = 0;
  double worst = 0;  // error over bound
  std::array<int64_t, kUlps.size() + 1> ulps{};
};

void count(Tally& tally, DType dtype, double got, double wanted, double bound);

struct Miss {
  std::string operation;
  int64_t index = 0;
  std::string tables, what, spec;
};

// Fields of a problem of mm_all_reduce.
nlohmann::json draw_fused(Maker& maker);

class Sweep {
 public:
  // Tables in the order of kernel_tables(); bits are compared between all but "reference", which rounds elsewhere.
  Sweep(uint64_t seed, std::vector<const KernelTable*> tables, const Fault* fault = nullptr)
      : seed_(seed), tables_(std::move(tables)), fault_(fault) {}

  static std::vector<std::string> operations();
  // Case `index` of an operation.
  std::optional<Miss> run(const std::string& operation, int64_t index, Tally& tally);

 private:
  std::optional<Miss> run_single(const std::string& operation, int64_t index, Tally& tally);
  std::optional<Miss> run_fused(int64_t index, Tally& tally);
  // mm_reduce_scatter and all_gather_mm.
  std::optional<Miss> run_rows(const std::string& operation, int64_t index, Tally& tally);
  std::optional<Miss> run_moe(int64_t index, Tally& tally);
  Expected<fused::CppGroup*> group_of(int ranks);
  std::string judge_fused(const fused::Problem& problem, const std::vector<fused::RankData>& data,
                          const std::vector<fused::Outputs>& results, Tally* tally) const;
  Expected<std::vector<fused::Outputs>> call_fused(const fused::Problem& problem,
                                                   const std::vector<fused::RankData>& data, const KernelTable& table);
  uint64_t seed_of(std::string_view operation, int64_t index) const;

  uint64_t seed_;
  std::vector<const KernelTable*> tables_;
  const Fault* fault_;
  std::map<int, fused::CppGroup> groups_;  // by rank count
  moe_ffn_case::Groups moe_groups_;
};

}  // namespace tandem::check
