// SPDX-License-Identifier: Apache-2.0
#include "tools/commands.h"

namespace tandem::tool {

void add_bench(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("bench", "Measure against the limits of this machine and against other libraries");
  command->require_subcommand(1);
#ifdef TANDEM_HAVE_BENCH
  add_bench_kernel(*command, exit_code);
#endif
  add_bench_collective(*command, exit_code);
  add_bench_op(*command, exit_code);
}

}  // namespace tandem::tool
