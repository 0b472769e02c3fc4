// SPDX-License-Identifier: Apache-2.0
#include "tests/fused/families.h"

#include <algorithm>
#include <fstream>

namespace tandem::fused {
namespace {

using nlohmann::json;

const char* const kCases = TANDEM_SOURCE_DIR "/tests/cases/mm_all_reduce.json";

// All combinations of the lists, on top of `set`.
std::vector<json> expand(const json& set, const json& cross) {
  std::vector<json> members{set};
  for (const auto& [key, list] : cross.items()) {
    std::vector<json> longer;
    for (const json& member : members) {
      for (const json& value : list) longer.push_back(member), longer.back()[key] = value;
    }
    members = std::move(longer);
  }
  return members;
}

Family parse_family(const json& entry) {
  Family family;
  family.name = entry.at("name");
  family.split = entry.at("split");
  family.ranks = entry.at("ranks").get<std::vector<int>>();
  family.also = entry.value("also", std::vector<std::string>{});
  family.members = expand(entry.at("set"), entry.value("cross", json::object()));
  for (json& member : family.members) {
    if (member.value("weight", "") == "same") member["weight"] = member.at("dtype");
    if (member.value("scales", "") != "group") member.erase("group_size");
  }
  return family;
}

}  // namespace

bool Family::wants(const std::string& property) const {
  return std::find(also.begin(), also.end(), property) != also.end();
}

json read_json(const std::string& path) {
  std::ifstream file(path);
  return json::parse(file);
}

std::vector<Family> read_families() {
  std::vector<Family> families;
  const json root = read_json(kCases);
  for (const json& entry : root.at("families")) families.push_back(parse_family(entry));
  return families;
}

std::vector<json> read_vectors() { return read_json(kCases).at("vectors").get<std::vector<json>>(); }

Problem problem_at(const json& member, int ranks) {
  json with_ranks = member;
  with_ranks["ranks"] = ranks;
  return parse_problem(with_ranks);
}

}  // namespace tandem::fused
