// SPDX-License-Identifier: Apache-2.0
#include "tests/group_a/cases.h"

#include <fstream>
#include <limits>

namespace tandem::group_a {
namespace {

using nlohmann::json;

double parse_number(const json& value) {
  if (value.is_number()) return value.get<double>();
  const auto text = value.get<std::string>();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  return text == "-inf" ? -infinity : infinity;
}

std::optional<std::vector<int64_t>> parse_dims(const json& object, const char* key) {
  if (!object.contains(key)) return std::nullopt;
  return object.at(key).get<std::vector<int64_t>>();
}

Override parse_override(const json& object) {
  return {parse_dims(object, "dims"), parse_dims(object, "strides"), parse_dims(object, "storage"),
          object.value("dtype", ""), object.value("format", "")};
}

int parse_status(const json& object, bool strict) {
  const int status = object.value("status", 0);
  return strict ? object.value("strict", status) : status;
}

std::vector<Step> parse_steps(const json& object, int status, bool strict) {
  std::vector<Step> steps;
  if (!object.contains("steps")) {
    steps.push_back({.action = "plan", .status = status});
    if (status == 0) steps.insert(steps.end(), {{"run"}, {"sync"}, {"check"}});
    return steps;
  }
  for (const json& step : object.at("steps")) {
    steps.push_back(
        {step.at("do"), step.value("executor", "a"), step.value("workspace", "own"), parse_status(step, strict)});
    if (strict && steps.back().action == "plan" && steps.back().status != 0) break;  // there is nothing to go on with
  }
  return steps;
}

void parse_expectation(const json& object, Case& c) {
  c.says = object.value("says", "");
  c.empty = object.value("workspace", "positive") == "zero";
  c.same_as = object.value("same_as", "");
  if (object.contains("y_all")) c.y_all = parse_number(object.at("y_all"));
  if (object.contains("norm_all")) c.norm_all = parse_number(object.at("norm_all"));
  c.cpp = object.value("cpp", "");
  c.y_is_residual = object.value("y_is_residual", false);
}

Case parse_case(const std::string& line, const json& base, const json& own, bool strict) {
  json merged = base;
  merged.update(own);
  Case c;
  c.id = line + "/" + own.at("name").get<std::string>();
  c.problem = fused::parse_problem(merged);
  c.form = merged.at("form");
  c.epsilon = parse_number(merged.at("epsilon"));
  c.group = merged.at("group");
  c.reduce_op = merged.at("reduce_op");
  c.comm_turn = merged.at("comm_turn");
  c.stream_mode = merged.at("stream_mode");
  c.group_size = merged.at("group_size");
  c.null = merged.value("null", std::set<std::string>{});
  if (c.null.contains("bias")) c.problem.bias = "none";
  if (c.null.contains("offset")) c.problem.offset = false;
  const json tensors = merged.value("tensors", json::object());
  for (const auto& [name, value] : tensors.items()) {
    c.tensors[name] = parse_override(value);
  }
  c.unreadable = merged.value("memory", "") == "unreadable";
  c.status = parse_status(merged, strict);
  parse_expectation(merged, c);
  c.steps = parse_steps(merged, c.status, strict);
  return c;
}

}  // namespace

bool Case::has(const std::string& name) const {
  if (tensors.contains(name)) return true;
  if (name == "bias") return problem.bias != "none";
  if (name == "offset") return problem.offset;
  if (name == "token") return problem.token;
  if (name == "x3") return problem.x3 == "all";
  return problem.wire || (name != "first" && name != "second");
}

bool Case::by_rank() const {
  const auto residual = problem.values.find("residual");
  return residual != problem.values.end() && residual->second.by_rank;
}

std::vector<Line> read_lines(const std::string& path, bool strict) {
  std::ifstream file(path);
  const json root = json::parse(file);
  std::vector<Line> lines;
  for (const json& entry : root.at("lines")) {
    Line line{entry.at("line"), entry.at("text"), entry.value("excuse", ""), {}};
    const json cases = entry.value("cases", json::array());
    for (const json& own : cases) {
      const bool unknown = strict && own.contains("status") && !own.contains("strict");
      if (!unknown) line.cases.push_back(parse_case(line.name, root.at("base"), own, strict));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace tandem::group_a
