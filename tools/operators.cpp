// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "tandem/check/pages.h"
#include "tools/commands.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

using nlohmann::json;

std::string text_of(const json& op) {
  std::string text = fmt::format("{}: {}\n", op.at("name").get<std::string>(), op.at("formula").get<std::string>());
  for (const json& one : op.at("operands")) {
    text += fmt::format("  {:<14} {:<13} {:<24} {}\n", one.at("name").get<std::string>(),
                        one.at("role").get<std::string>(), one.at("dtypes").get<std::string>(),
                        one.at("text").get<std::string>());
  }
  return text;
}

int run(bool as_json) {
  const json all = check::pages();
  std::string text;
  for (const json& op : all) text += text_of(op);
  put(stdout, as_json ? all.dump() + "\n" : text);
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

}  // namespace

void add_operators(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("operators", "Operators of one device: formulas, operands, numbers");
  auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "one JSON array on stdout");
  command->footer("Example:\n  tandem operators --json | python3 -m json.tool");
  command->callback([as_json, &exit_code] { exit_code = run(*as_json); });
}

}  // namespace tandem::tool
