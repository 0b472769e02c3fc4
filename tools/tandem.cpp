// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "tandem/version.h"
#include "tools/commands.h"
#include "tools/report.h"

namespace {

bool wants_json(std::span<char*> arguments) {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](const char* text) { return std::string_view(text) == "--json"; });
}

int run(std::span<char*> arguments) {
  using namespace std::string_literals;
  CLI::App app("Tensor-parallel inference on CPUs with one fused operator and the same bits always.", "tandem");
  app.set_version_flag("--version", "tandem "s + tandem::version());
  app.require_subcommand(1);
  app.footer("Example:\n  tandem generate --prompt \"And it came to pass\" --tp 2 --max-tokens 40");
  int exit_code = 0;
  tandem::tool::add_generate(app, exit_code);
  tandem::tool::add_doctor(app, exit_code);
  try {
    app.parse(static_cast<int>(arguments.size()), arguments.data());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return tandem::tool::report_failure(std::string(error.what()) + "; see tandem --help", wants_json(arguments));
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<size_t>(argc));
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    return tandem::tool::report_failure(error.what(), wants_json(arguments));
  }
}
