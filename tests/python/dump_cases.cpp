// SPDX-License-Identifier: Apache-2.0
// The cases of single operators with their operands' bytes and what the C++ call gave, one JSON object a line: what the
// Python tests run through their interface.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tandem/check/operators.h"

namespace {

using nlohmann::json;
using namespace tandem::check;

std::string hex_of(const std::vector<std::byte>& bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<int>(byte));
  return text;
}

json operand_of(const Operand& one) {
  return {{"dtype", tandem::dtype_name(one.dtype)},
          {"dims", one.dims},
          {"strides", one.strides},
          {"bytes", hex_of(one.bytes)}};
}

json line_of(const Case& c) {
  const Outcome outcome = find_operator(c.op).call(c);
  json line{{"id", c.id}, {"op", c.op}, {"status", outcome.status}, {"message", outcome.message}, {"words", c.words}};
  for (const auto& [name, list] : c.operands) {
    for (const Operand& one : list) line["operands"][name].push_back(operand_of(one));
  }
  for (const auto& [name, value] : c.numbers) line["numbers"][name] = fmt::format("{}", value);
  for (const auto& [name, list] : outcome.results) {
    for (const auto& bytes : list) line["results"][name].push_back(hex_of(bytes));
  }
  return line;
}

bool single(const json& spec) { return spec.contains("op") && spec.at("op").is_string() && !spec.value("huge", false); }

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(std::string(TANDEM_SOURCE_DIR) + "/tests/cases/" + argv[i] + ".json");
    const json root = json::parse(file);
    for (const json& own : root.at("cases")) {
      json spec = own;
      if (own.contains("base")) {
        spec = root.at("base").at(own.at("base").get<std::string>());
        spec.merge_patch(own);
      }
      if (single(spec)) fmt::print("{}\n", line_of(parse_case(argv[i], spec)).dump());
    }
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
