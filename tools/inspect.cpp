// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/inspect.h"

#include <cstdio>
#include <memory>

#include "tools/commands.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

struct InspectFlags {
  int pid = 0;
  int last = 20;
};

int run(const InspectFlags& flags) {
  const auto text = inspect_process(flags.pid, flags.last);
  if (!text) return report_failure(text.error().message, false);
  put(stdout, *text);
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto* command =
      app.add_subcommand("inspect", "Say which rank of a running process waits for whom, without stopping it");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option("PID", flags->pid, "a process that is one of the ranks")->required()->check(CLI::PositiveNumber);
  command->add_option("--last", flags->last, "operators of each of its ranks to print")->check(CLI::Range(0, 2000));
  command->footer("Example:\n  tandem inspect 4711 --last 5");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace tandem::tool
