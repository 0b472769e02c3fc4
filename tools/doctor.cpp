// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "tandem/base/env.h"
#include "tandem/exec/device.h"
#include "tandem/exec/topology.h"
#include "tandem/kernels/table.h"
#include "tandem/llm/config.h"
#include "tandem/version.h"
#include "tools/commands.h"
#include "tools/job.h"
#include "tools/model_folder.h"
#include "tools/probes.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

using nlohmann::json;

json cpu_part() {
  const Topology& t = topology();
  return {{"name", t.cpu_name},         {"features", cpu_features()},
          {"cores", t.cores.size()},    {"usable_cores", t.usable_cores},
          {"numa_nodes", t.numa_nodes}, {"l1d_bytes", t.l1d_bytes},
          {"l2_bytes", t.l2_bytes},     {"l3_bytes", t.l3_bytes}};
}

json table_part() {
  json names = json::array();
  for (const KernelTable* table : kernel_tables()) names.push_back(table->name);
  json part = {{"runnable", names}, {"chosen", default_table().name}};
  if (const auto status = check_table(); !status) part["refused"] = status.error().message;
  return part;
}

json system_part() {
  const std::string memfd = probe_memfd();
  const std::string pidfd = probe_pidfd();
  return {{"memfd", memfd.empty() ? "works" : memfd},
          {"pidfd", pidfd.empty() ? "works" : pidfd},
          {"open_files", open_files_limit()},
          {"processes", processes_limit()},
          {"devices", Device::count()}};
}

json model_part() {
  const auto folder = model_folder("");
  if (!folder) return {{"error", folder.error().message}};
  const auto config = load_config(*folder);
  if (!config) return {{"folder", *folder}, {"error", config.error().message}};
  return {{"folder", *folder},
          {"architecture", config->architecture},
          {"layers", config->layers},
          {"hidden", config->hidden},
          {"heads", config->heads},
          {"kv_heads", config->kv_heads},
          {"experts", config->experts},
          {"top_k", config->top_k},
          {"vocabulary", config->vocabulary},
          {"context", config->context}};
}

json environment_part() {
  json list = json::array();
  for (const EnvVariable& variable : env_table()) {
    const auto value = env_text(variable.name);
    list.push_back({{"name", variable.name},
                    {"type", variable.type},
                    {"default", variable.fallback},
                    {"value", value ? json(*value) : json()},
                    {"help", variable.help}});
  }
  return list;
}

std::string plain(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const json& item : value) text += (text.empty() ? "" : " ") + plain(item);
  return text;
}

void print_part(const char* title, const json& part) {
  put(stdout, fmt::format("{}\n", title));
  for (const auto& [name, value] : part.items()) put(stdout, fmt::format("  {:14} {}\n", name, plain(value)));
}

void print_environment(const json& list) {
  put(stdout, "environment\n");
  for (const json& variable : list) {
    const bool set = !variable["value"].is_null();
    if (!set && variable["type"] == "unused") continue;
    put(stdout, fmt::format("  {:26} {}{}\n  {:26} {}\n", plain(variable["name"]), set ? "" : "unset, default ",
                            plain(variable[set ? "value" : "default"]), "", plain(variable["help"])));
  }
}

void print_all(const json& all) {
  put(stdout, fmt::format("tandem {}\n", version()));
  print_part("cpu", all["cpu"]);
  print_part("kernel tables", all["tables"]);
  print_part("system", all["system"]);
  print_part("model", all["model"]);
  print_environment(all["environment"]);
}

int run(bool as_json) {
  const json all = {{"version", version()},
                    {"headers", TANDEM_VERSION},
                    {"cpu", cpu_part()},
                    {"tables", table_part()},
                    {"system", system_part()},
                    {"model", model_part()},
                    {"environment", environment_part()}};
  if (as_json) {
    put(stdout, all.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  } else {
    print_all(all);
  }
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

}  // namespace

void add_doctor(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("doctor", "Say what this machine, build and environment offer");
  auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "one JSON object on stdout");
  command->footer("Examples:\n  tandem doctor\n  tandem doctor --json\n  TANDEM_TABLE=portable tandem doctor");
  command->callback([as_json, &exit_code] { exit_code = run(*as_json); });
}

}  // namespace tandem::tool
