// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "tandem/check/fused_problem.h"

namespace tandem::fused {

// A family of tests/cases/mm_all_reduce.json: every member is a JSON object for parse_problem() without "ranks".
struct Family {
  std::string name;
  bool split = false;
  std::vector<int> ranks;
  std::vector<nlohmann::json> members;
  std::vector<std::string> also;

  bool wants(const std::string& property) const;
};
// How GoogleTest shows one.
void PrintTo(const Family& family, std::ostream* out);

nlohmann::json read_json(const std::string& path);
std::vector<Family> read_families();
// Cases with written-out values and results.
std::vector<nlohmann::json> read_vectors();

Problem problem_at(const nlohmann::json& member, int ranks);

}  // namespace tandem::fused
