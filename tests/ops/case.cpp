// SPDX-License-Identifier: Apache-2.0
#include "tests/ops/case.h"

#include <fstream>

namespace tandem::ops_test {

using nlohmann::json;

json read_family(const std::string& family) {
  std::ifstream file(std::string(TANDEM_SOURCE_DIR) + "/tests/cases/" + family + ".json");
  return json::parse(file);
}

std::vector<Case> read_cases(const std::string& family) {
  const json root = read_family(family);
  std::vector<Case> cases;
  for (const json& own : root.at("cases")) {
    json spec = own;
    if (own.contains("base")) {  // a case that changes only what it names
      spec = root.at("base").at(own.at("base").get<std::string>());
      spec.merge_patch(own);
    }
    cases.push_back(parse_case(family, spec));
  }
  return cases;
}

}  // namespace tandem::ops_test
