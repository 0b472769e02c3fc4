// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "tandem/exec/trace.h"
#include "tandem/version.h"
#include "tools/commands.h"
#include "tools/make_model.h"
#include "tools/report.h"

namespace {

// Descriptors 0 to 2 that are closed would be given to sockets and memory of ours and receive our text. What takes
// their places fails when used.
bool hold_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return false;
  }
  return true;
}

// --json and --json=yes, not --json=false in any of the words the parser knows for it.
bool asks_for_json(std::string_view argument) {
  if (argument == "--json") return true;
  if (!argument.starts_with("--json=")) return false;
  const std::string value = CLI::detail::to_lower(std::string(argument.substr(7)));
  constexpr std::array kNo = {"false", "off", "no", "n", "f", "0", "-", "disable"};
  return std::find(kNo.begin(), kNo.end(), value) == kNo.end();
}

bool wants_json(std::span<char*> arguments) { return std::any_of(arguments.begin(), arguments.end(), asks_for_json); }

int exit_of_help(int code) {
  const auto arrived = tandem::tool::stdout_arrived();
  return arrived ? code : tandem::tool::report_failure(arrived.error().message, false);
}

int run(std::span<char*> arguments) {
  using namespace std::string_literals;
  CLI::App app("Tensor-parallel inference on CPUs with one fused operator and the same bits always.", "tandem");
  app.set_version_flag("--version", "tandem "s + tandem::version());
  app.require_subcommand(1);
  app.footer("Example:\n  tandem generate --prompt \"And it came to pass\" --tp 2 --max-tokens 40");
  int exit_code = 0;
  tandem::tool::add_generate(app, exit_code);
  tandem::tool::add_launch(app, exit_code);
  tandem::tool::add_doctor(app, exit_code);
  tandem::tool::add_inspect(app, exit_code);
  tandem::tool::add_bench(app, exit_code);
  tandem::tool::add_check(app, exit_code);
  tandem::tool::add_quantize(app, exit_code);
  tandem::tool::add_make_model(app, exit_code);
  tandem::tool::add_perplexity(app, exit_code);
  tandem::tool::add_operators(app, exit_code);
  tandem::tool::add_trace_stats(app, exit_code);
  try {
    app.parse(static_cast<int>(arguments.size()), arguments.data());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return exit_of_help(app.exit(error));
    return tandem::tool::report_failure(std::string(error.what()) + "; see tandem --help", wants_json(arguments));
  }
  if (const auto traced = tandem::finish_trace(); !traced) {
    return tandem::tool::report_failure(traced.error().message, false);
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  if (!hold_standard_descriptors()) return 1;
  const std::span<char*> arguments(argv, static_cast<size_t>(argc));
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    return tandem::tool::report_failure(error.what(), wants_json(arguments));
  }
}
