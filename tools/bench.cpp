// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/kernel_bench.h"
#include "bench/roofline.h"
#include "tools/commands.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

using bench::Options;

struct Flags {
  Options options;
  std::vector<std::string> shapes;
};

std::string set_shapes(Flags& flags) {
  if (flags.shapes.empty()) return "";
  flags.options.shapes.clear();
  for (const std::string& text : flags.shapes) {
    int64_t k = 0, n = 0;
    char rest = 0;
    if (std::sscanf(text.c_str(), "%ldx%ld%c", &k, &n, &rest) != 2 || k < 1 || n < 2 || n % 2 != 0) {
      return fmt::format("--shape {}: KxN wanted, like 2048x4096", text);
    }
    flags.options.shapes.emplace_back(k, n);
  }
  return "";
}

// Small and short: shows that everything works, not how fast.
void make_quick(Options& options, bool shapes_given) {
  options.rounds = 2;
  options.min_time = 0.001;
  if (!shapes_given) options.shapes = {{256, 192}};
}

Status write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (file) return {};
  return fail(ErrorCode::io, fmt::format("{}: could not be written", path));
}

// One line a row of results: files of thousands of rows stay readable and small.
std::string file_text(const nlohmann::json& run) {
  std::string rows;
  for (const auto& row : run.at("rows")) rows += (rows.empty() ? "" : ",\n") + row.dump();
  nlohmann::json rest = run;
  rest.erase("rows");
  std::string text = rest.dump(1);
  text.erase(text.rfind('\n'));
  return text + ",\n \"rows\": [\n" + rows + "\n]}\n";
}

int run(Flags& flags) {
  Options& o = flags.options;
  std::string wrong = bench::complaint_about(o);
  if (wrong.empty()) wrong = set_shapes(flags);
  if (!wrong.empty()) return report_failure(wrong, o.json);
  if (o.quick) make_quick(o, !flags.shapes.empty());
  if (o.peer_folder.empty()) o.peer_folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib";
  const bench::Outcome outcome = bench::run_kernel_bench(o);
  put(stdout, o.json ? outcome.json.dump() + "\n" : outcome.text);
  for (const auto& [path, text] : {std::pair(o.out, file_text(outcome.json)), std::pair(o.plot, bench::roofline_svg(outcome.json))}) {
    if (path.empty()) continue;
    if (const auto written = write_file(path, text); !written) return report_failure(written.error().message, false);
  }
  if (outcome.refused > 0) {
    return report_failure(fmt::format("bench kernel: {} of {} configurations are not verified and not printed", outcome.refused,
                                      outcome.refused + outcome.rows), false);
  }
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

void add_choice_options(CLI::App& kernel, Options& o, Flags& flags) {
  kernel.add_option("--family", o.families, "gemm, int8, int4xint8, transposed, tree, group, rows, attention, all")->delimiter(',')->capture_default_str();
  kernel.add_option("--table", o.tables, "kernel tables; default: all of this machine but portable")->delimiter(',');
  kernel.add_option("--types", o.types, "activations x weights: f16xi8,f16xi4,bf16xbf16,f32xf32,i8xi8,i8xi4")->delimiter(',');
  kernel.add_option("--shape", flags.shapes, "KxN of the weights; default 2048x4096")->delimiter(',');
  kernel.add_option("--m", o.m, "rows of activations")->delimiter(',')->check(CLI::Range(int64_t{1}, int64_t{65536}))->capture_default_str();
  kernel.add_option("--layout", o.layouts, "packed, row, transposed")->delimiter(',')->capture_default_str();
  kernel.add_option("--math", o.math, "exact, fast")->delimiter(',')->capture_default_str();
  kernel.add_option("--offset", o.offsets, "zero points of quantised weights: none, integer, real")->delimiter(',')->capture_default_str();
  kernel.add_option("--threads", o.threads, "threads of a call")->delimiter(',')->check(CLI::Range(1, 1024))->capture_default_str();
  kernel.add_option("--peers", o.peers, "openblas, onednn, libxsmm, all, none")->delimiter(',')->capture_default_str();
  kernel.add_flag("--peers-avx2", o.peers_avx2, "hold the peers to AVX2, to compare with the avx2 table");
}

void add_run_options(CLI::App& kernel, Options& o) {
  kernel.add_option("--rounds", o.rounds, "every round visits limits, ours and peers once")->check(CLI::Range(1, 1000))->capture_default_str();
  kernel.add_option("--min-time", o.min_time, "seconds of one visit")->check(CLI::Range(0.0001, 60.0))->capture_default_str();
  kernel.add_flag("--quick", o.quick, "tiny sizes, out of caches: shows that it works, not how fast");
  kernel.add_flag("--json", o.json, "one JSON object on stdout");
  kernel.add_option("--out", o.out, "write the JSON to this file too");
  kernel.add_option("--plot", o.plot, "write a roofline as SVG to this file");
  kernel.add_option("--revision", o.revision, "revision of the source, for the machine line");
  kernel.add_option("--peer-folder", o.peer_folder, "where the peers' modules lie; default: lib beside bin");
  kernel.add_option("--spoil", o.spoil, "falsify the results of this table, to see that they are refused")->group("");
}

}  // namespace

void add_bench_kernel(CLI::App& bench, int& exit_code) {
  auto* kernel = bench.add_subcommand("kernel", "Kernels, each verified in the same run, beside read, copy and FMA limits");
  auto flags = std::make_shared<Flags>();
  add_choice_options(*kernel, flags->options, *flags);
  add_run_options(*kernel, flags->options);
  kernel->footer("Examples:\n  tandem bench kernel\n"
                 "  tandem bench kernel --family gemm --types f16xi4 --math exact,fast --m 1,8,128 --threads 1,2\n"
                 "  tandem bench kernel --family rows --table avx2 --json\n"
                 "  tandem bench kernel --family all --out run.json --plot roofline.svg");
  kernel->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace tandem::tool
