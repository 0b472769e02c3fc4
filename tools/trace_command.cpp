// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "tandem/base/json.h"
#include "tandem/exec/trace.h"
#include "tools/commands.h"
#include "tools/report.h"
#include "tools/trace_stats.h"

namespace tandem::tool {
namespace {

constexpr size_t kMostBytes = size_t{1} << 29;

struct Flags {
  std::string file;
  bool json = false;
  double least_hidden = -1;
};

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

nlohmann::json to_json(const std::map<int64_t, RankTimes>& ranks) {
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& [rank, t] : ranks) {
    rows.push_back({{"rank", rank},
                    {"span_us", t.span_us},
                    {"compute_us", t.compute_us},
                    {"wait_us", t.wait_us},
                    {"reduce_us", t.reduce_us},
                    {"tail_us", t.tail_us},
                    {"copy_us", t.copy_us},
                    {"hidden_us", t.hidden_us},
                    {"published_bytes", t.published_bytes},
                    {"spans", t.spans},
                    {"dropped", t.dropped},
                    {"hidden_percent", t.reduce_us > 0 ? percent(t.hidden_us, t.reduce_us) : 100.0}});
  }
  return {{"ranks", rows}, {"hidden_percent", hidden_percent(ranks)}};
}

std::string table(const std::map<int64_t, RankTimes>& ranks) {
  std::string text = fmt::format("{:>5} {:>12} {:>9} {:>7} {:>8} {:>7} {:>7} {:>9} {:>14} {:>8}\n", "rank", "us",
                                 "compute%", "wait%", "reduce%", "tail%", "copy%", "hidden%", "bytes", "dropped");
  for (const auto& [rank, t] : ranks) {
    text += fmt::format("{:>5} {:>12.1f} {:>9.2f} {:>7.2f} {:>8.2f} {:>7.2f} {:>7.2f} {:>9} {:>14} {:>8}\n", rank,
                        t.span_us, percent(t.compute_us, t.span_us), percent(t.wait_us, t.span_us),
                        percent(t.reduce_us, t.span_us), percent(t.tail_us, t.span_us), percent(t.copy_us, t.span_us),
                        t.reduce_us > 0 ? fmt::format("{:.1f}", percent(t.hidden_us, t.reduce_us)) : "-",
                        t.published_bytes, t.dropped);
  }
  return text +
         fmt::format("{:.1f} % of the time of reductions lies inside another rank's compute\n", hidden_percent(ranks));
}

int run(const Flags& flags) {
  const auto text = read_file(flags.file, kMostBytes);
  if (!text) return report_failure(text.error().message, flags.json);
  const auto trace = parse_trace(*text, flags.file);
  if (!trace) return report_failure(trace.error().message, flags.json);
  const auto ranks = times_of(*trace);
  const double hidden = hidden_percent(ranks);
  const bool reduces = std::any_of(ranks.begin(), ranks.end(), [](const auto& r) { return r.second.reduce_us > 0; });
  if (flags.least_hidden >= 0 && (!reduces || hidden < flags.least_hidden)) {
    return report_failure(reduces ? fmt::format("{}: {:.1f} % of the time of reductions is hidden, {:g} % wanted",
                                                flags.file, hidden, flags.least_hidden)
                                  : fmt::format("{}: nothing was reduced", flags.file),
                          flags.json);
  }
  put(stdout, flags.json ? to_json(ranks).dump() + "\n" : table(ranks));
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

}  // namespace

void add_trace_option(CLI::App& command) {
  command.add_option_function<std::string>(
      "--trace", [](const std::string& file) { trace_to(file); },
      "write what each rank did when to this file, for chrome://tracing, Perfetto or tandem trace-stats");
}

void add_trace_stats(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("trace-stats", "What the ranks of a trace spent their time on");
  const auto flags = std::make_shared<Flags>();
  command->add_option("file", flags->file, "trace written by --trace or TANDEM_TRACE")->required();
  command->add_flag("--json", flags->json, "one JSON object on stdout");
  command
      ->add_option("--min-hidden", flags->least_hidden,
                   "fail where less than this percentage of the reductions' time lies inside another rank's compute")
      ->check(CLI::Range(0.0, 100.0));
  command->footer(
      "Shares are of the time between a rank's first and last event.\nExample:\n"
      "  tandem bench op mm_all_reduce_add_rms_norm -p 4 -m 512 --trace run.json && tandem trace-stats run.json");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace tandem::tool
