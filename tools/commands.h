// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <CLI/CLI.hpp>

namespace tandem::tool {

// Each adds one subcommand; `exit_code` receives its result when it ran.
void add_generate(CLI::App& app, int& exit_code);
void add_launch(CLI::App& app, int& exit_code);
void add_doctor(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);
void add_check(CLI::App& app, int& exit_code);
void add_quantize(CLI::App& app, int& exit_code);
void add_perplexity(CLI::App& app, int& exit_code);
void add_operators(CLI::App& app, int& exit_code);
void add_trace_stats(CLI::App& app, int& exit_code);
// --trace FILE of a command that runs operators.
void add_trace_option(CLI::App& command);
// Of `bench`: kernels in builds with Google Benchmark, collectives always.
void add_bench_kernel(CLI::App& bench, int& exit_code);
void add_bench_collective(CLI::App& bench, int& exit_code);
void add_bench_op(CLI::App& bench, int& exit_code);

}  // namespace tandem::tool
