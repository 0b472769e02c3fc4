// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <memory>

#include "tandem/comm/rank_table.h"
#include "tools/commands.h"
#include "tools/launch_order.h"
#include "tools/launch_program.h"

namespace tandem::tool {
namespace {

std::string is_setting(const std::string& text) {
  const size_t equals = text.find('=');
  return equals == 0 || equals == std::string::npos ? fmt::format("{}: NAME=VALUE wanted", text) : "";
}

}  // namespace

void add_launch(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("launch", "Run a program as several ranks, on this host or on several.");
  const auto flags = std::make_shared<LaunchFlags>();
  auto* ranks = command->add_option("-n,--ranks", flags->ranks, "number of ranks; with --hosts: default all slots");
  ranks->check(CLI::Range(1, kMaxTableRanks));
  command->add_flag("!--no-prefix", flags->prefix, "pass the ranks' lines on as they are, without [rank]");
  command->add_option("--grace", flags->grace_s, "seconds the others have after a rank failed")
      ->check(CLI::Range(0.0, kMostGraceSeconds))
      ->capture_default_str();
  command->add_option("-x", flags->variables, "NAME=VALUE for the environment of every rank; may be repeated")
      ->check(CLI::Validator(is_setting, "NAME=VALUE"))
      ->allow_extra_args(false);
  command->add_option_function<std::string>(
      "--trace",
      [flags](const std::string& file) {
        flags->variables.push_back("TANDEM_TRACE=" + std::filesystem::absolute(file).string());
      },
      "TANDEM_TRACE for every rank: one trace of all that share this file system");
  command->add_option("--hosts", flags->hosts, "file with a host a line, 'name slots=N'; rank 0 is on the first");
  command->add_option("--rsh", flags->remote_shell, "remote shell; HOST COMMAND is added")->capture_default_str();
  command->add_option("--remote-tandem", flags->remote_tool, "this program on the other hosts; default: the same path");
  command->add_option("--port", flags->port, "TCP port on the first host, and the next one; default: a random one")
      ->check(CLI::Range(1024, 65534));
  auto* agent = command->add_flag("--agent", flags->agent, "take the order from standard input")->group("");
  command->add_option("program", flags->program, "-- PROGRAM ARGUMENTS...")->excludes(agent);
  command->positionals_at_end();
  command->footer(
      "Each rank finds RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT and TANDEM_JOB in its\n"
      "environment.\nExamples:\n  tandem launch -n 4 -- ./program --option\n"
      "  tandem launch --hosts hosts.txt -x UCX_TLS=tcp -- ./program");
  command->callback([flags, &exit_code] {
    if (!flags->agent && flags->program.empty()) throw CLI::RequiredError("program");
    if (!flags->agent && flags->hosts.empty() && flags->ranks == 0) throw CLI::RequiredError("--ranks");
    ::signal(SIGPIPE, SIG_IGN);
    exit_code = launch_program(*flags);
  });
}

}  // namespace tandem::tool
