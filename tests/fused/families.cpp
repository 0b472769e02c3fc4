// SPDX-License-Identifier: Apache-2.0
#include "tests/fused/families.h"

#include <algorithm>
#include <fstream>
#include <random>

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

// Draws without std distributions, whose results differ between libraries.
class Draw {
 public:
  explicit Draw(uint32_t seed) : engine_(seed) {}
  int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(engine_()) % (high - low + 1); }
  bool coin() { return between(0, 1) == 1; }
  std::string one_of(std::initializer_list<const char*> words) {
    return words.begin()[between(0, static_cast<int64_t>(words.size()) - 1)];
  }

 private:
  std::mt19937 engine_;
};

json draw_member(Draw& draw, uint32_t seed) {
  json member{{"seed", seed}, {"m", draw.between(1, 40)}, {"offset", draw.coin()}, {"tail", draw.coin()}};
  member["dtype"] = draw.one_of({"f16", "bf16", "f32"});
  member["weight"] = draw.one_of({"i8", "i4", "same"});
  member["scales"] = member["weight"] == "same" ? "none" : draw.one_of({"tensor", "channel", "group"});
  member["bias"] = draw.one_of({"none", "first"});
  member["x3"] = draw.one_of({"none", "none", "first"});
  const bool grouped = member["scales"] == "group";
  const bool transposed = draw.coin();
  const bool nibbles = member["weight"] == "i4";
  const int64_t slice = grouped ? 32 * draw.between(2, 4) : draw.between(1, 50);
  const int64_t n = draw.between(1, 130);
  member["transposed"] = transposed;
  member["scale_transposed"] = draw.coin();
  member["group_size"] = 32;
  member["total_k"] = 8 * (nibbles && transposed ? slice / 2 * 2 + 2 * (slice < 2) : slice);
  member["n"] = nibbles && !transposed ? n / 2 * 2 + 2 * (n < 2) : n;
  return member;
}

std::vector<json> draw_members(const json& how) {
  const auto seed = how.at("seed").get<uint32_t>();
  Draw draw(seed);
  std::vector<json> members;
  for (uint32_t i = 0; i < how.at("count").get<uint32_t>(); ++i) members.push_back(draw_member(draw, seed + i));
  return members;
}

Family parse_family(const json& entry) {
  Family family;
  family.name = entry.at("name");
  family.split = entry.at("split");
  family.ranks = entry.at("ranks").get<std::vector<int>>();
  family.also = entry.value("also", std::vector<std::string>{});
  family.members = entry.contains("draw") ? draw_members(entry.at("draw"))
                                          : expand(entry.at("set"), entry.value("cross", json::object()));
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

void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

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
