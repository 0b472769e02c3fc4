// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <memory>

#include "tandem/comm/rank_table.h"
#include "tools/commands.h"
#include "tools/launch_program.h"

namespace tandem::tool {

void add_launch(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("launch", "Run a program as several ranks on this host.");
  const auto flags = std::make_shared<LaunchFlags>();
  command->add_option("-n,--ranks", flags->ranks, "number of ranks")->required()->check(CLI::Range(1, kMaxTableRanks));
  command->add_flag("!--no-prefix", flags->prefix, "pass the ranks' lines on as they are, without [rank]");
  command->add_option("--grace", flags->grace_s, "seconds the others have after a rank failed")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_option("program", flags->program, "-- PROGRAM ARGUMENTS...")->required();
  command->positionals_at_end();
  command->footer(
      "Each rank finds RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT and TANDEM_JOB in its\n"
      "environment.\nExample:\n  tandem launch -n 4 -- ./program --option");
  command->callback([flags, &exit_code] {
    ::signal(SIGPIPE, SIG_IGN);
    exit_code = launch_program(*flags);
  });
}

}  // namespace tandem::tool
