// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "bench/collective/peer.h"
#include "bench/collective/report.h"
#include "bench/op/options.h"
#include "bench/op/rank.h"
#include "bench/op/report.h"
#include "tandem/base/json.h"
#include "tandem/comm/launch_environment.h"
#include "tandem/exec/trace.h"
#include "tools/bench_group.h"
#include "tools/commands.h"
#include "tools/report.h"
#include "tools/trace_stats.h"

namespace tandem::tool {
namespace {

using nlohmann::json;

struct Flags {
  bench::op::OpOptions options;
  int ranks = 2;
  bool packed = false, json = false;
  std::string compare = "openmpi", out, plot, trace;
  // Of a rank process.
  std::string group;
  int rank = -1, size = 0;
};

constexpr size_t kMostTrace = size_t{1} << 29;

std::string settle(Flags& f) {
  bench::op::OpOptions& o = f.options;
  if (f.packed) o.layout = "packed";
  std::erase(o.gemms, "none");
  if (o.peer_folder.empty()) {
    o.peer_folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib";
  }
  if (std::string wrong = bench::op::complaint_about(o); !wrong.empty()) return wrong;
  if (!o.replay.empty()) f.ranks = bench::op::problem_of_line(o.replay)->ranks;
  return "";
}

int run_member(const Flags& f) {
  const auto launched = f.rank >= 0 ? Expected<std::optional<LaunchEnvironment>>() : launch_environment();
  if (!launched) return report_failure(launched.error().message, f.json);
  if (f.rank < 0 && !*launched) return report_failure("--group is for rank processes of this command only", f.json);
  const int rank = f.rank >= 0 ? f.rank : (*launched)->rank, ranks = f.rank >= 0 ? f.size : (*launched)->size;
  const auto comm =
      Communicator::connect({.rank = rank, .size = ranks, .name = "bench", .address = f.group, .device = rank});
  if (!comm) return report_failure(comm.error().message, false);
  const auto rows = bench::op::run_op_rank(*comm, f.options);
  if (!rows) return report_failure(rows.error().message, false);
  if (rank == 0) put(stdout, rows->dump() + "\n");
  return 0;
}

// Lanes of the picture, from the trace the ranks wrote.
Expected<std::vector<bench::op::LaneSpan>> read_lanes(const std::string& path) {
  const auto text = read_file(path, kMostTrace);
  if (!text) return fail(text.error());
  const auto trace = parse_trace(*text, path);
  if (!trace) return fail(trace.error());
  std::vector<bench::op::LaneSpan> lanes;
  for (const auto& [rank, spans] : *trace) {
    for (const TracedSpan& span : spans.spans) lanes.push_back({rank, span.category, span.begin_us, span.end_us});
  }
  return lanes;
}

// The trace that a picture needs lies beside it and is taken away again where none was asked for.
class PlotTrace {
 public:
  explicit PlotTrace(const Flags& f) : path_(f.trace), own_(f.trace.empty() && !f.plot.empty()) {
    if (own_) path_ = fmt::format("{}.{}.trace", f.plot, ::getpid());
  }
  ~PlotTrace() {
    std::error_code ignored;
    if (own_) std::filesystem::remove(path_, ignored);
  }
  PlotTrace(const PlotTrace&) = delete;
  PlotTrace& operator=(const PlotTrace&) = delete;
  const std::string& path() const { return path_; }
  std::vector<std::string> arguments() const {
    return path_.empty() ? std::vector<std::string>{} : std::vector<std::string>{"--trace", path_};
  }

 private:
  std::string path_;
  bool own_;
};

Status write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return {};
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (file) return {};
  return fail(ErrorCode::io, fmt::format("{}: could not be written", path));
}

Status write_plot(const Flags& f, const PlotTrace& trace, const json& report) {
  if (f.plot.empty()) return {};
  const auto lanes = read_lanes(trace.path());
  if (!lanes) return fail(lanes.error());
  return write_file(f.plot, bench::op::op_svg(report, *lanes));
}

// The communication library that runs beside ours, or nothing and why.
std::string settle_peer(const Flags& f, json& not_shown) {
  if (f.compare == "none") return "";
  std::string why = bench::why_absent(f.options.peer_folder, f.compare);
  if (const auto launcher = launcher_of(f.compare, f.ranks); why.empty() && !launcher) why = launcher.error().message;
  if (why.empty()) return f.compare;
  not_shown.push_back(fmt::format("all-reduce of {}: {}", f.compare, why));
  return "";
}

int run(Flags& f) {
  if (std::string wrong = settle(f); !wrong.empty()) return report_failure("bench op: " + wrong, f.json);
  if (!f.group.empty()) {
    trace_to(f.trace);
    return run_member(f);
  }
  json not_shown = json::array();
  const std::string peer = settle_peer(f, not_shown);
  const PlotTrace trace(f);
  std::vector<std::string> more = f.trace.empty() ? trace.arguments() : std::vector<std::string>{};
  auto report = run_group({f.ranks, peer, "", f.options.progress || ::isatty(STDERR_FILENO) != 0, more});
  if (!report) return report_failure("bench op: " + report.error().message, f.json);
  (*report)["command"] = "bench op";
  (*report)["machine"] = bench::collective_machine();
  for (const json& line : not_shown) (*report)["not_shown"].push_back(line);
  bench::op::add_figures(*report);
  put(stdout, f.json ? report->dump() + "\n" : bench::op::op_text(*report));
  if (Status s = write_file(f.out, report->dump(1) + "\n"); !s) return report_failure(s.error().message, false);
  if (Status s = write_plot(f, trace, *report); !s) return report_failure(s.error().message, false);
  const int64_t wrong = bench::op::count_wrong(*report);
  if (wrong > 0) return report_failure(fmt::format("bench op: {} results are wrong and not shown", wrong), false);
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

void add_what(CLI::App& app, Flags& f) {
  bench::op::OpOptions& o = f.options;
  const auto extent = CLI::Range(int64_t{1}, int64_t{1} << 24);
  app.add_option("op", o.operation, "mm_all_reduce, mm_reduce_scatter, all_gather_mm, each also with _add_rms_norm")
      ->capture_default_str();
  app.add_option("-m", o.m, "rows")->delimiter(',')->check(extent)->capture_default_str();
  app.add_option("-k", o.k, "depth of one rank's product")->delimiter(',')->check(extent)->capture_default_str();
  app.add_option("-n", o.n, "columns")->delimiter(',')->check(extent)->capture_default_str();
  app.add_option("-d,--types", o.types, "fp16, bf16, fp32, int8, int4, int4-g128, w8a8, bf16-int8 ...")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--math", o.maths, "exact, fast")->delimiter(',')->check(CLI::IsMember({"exact", "fast"}));
  app.add_flag("--packed", f.packed, "weights in packed panels");
  app.add_option("--layout", o.layout, "row, transposed, packed")
      ->check(CLI::IsMember({"row", "transposed", "packed"}))
      ->capture_default_str();
  app.add_flag("--offset", o.offset, "quantised weights have zero points");
  app.add_flag("--replicated", o.replicated, "all ranks hold the same residual");
  app.add_option("--replay", o.replay, "the call of a line of TANDEM_VERBOSE=1");
}

void add_how(CLI::App& app, Flags& f) {
  bench::op::OpOptions& o = f.options;
  app.add_option("-p,--ranks", f.ranks, "rank processes on this host")->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--rounds", o.rounds, "every round visits everybody once; figures are medians over rounds")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--visit", o.visit, "seconds of one visit")->check(CLI::Range(1e-5, 60.0))->capture_default_str();
  app.add_option("--pool-mb", o.pool_mb, "MiB of weights of all ranks that calls take turns in")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  app.add_option("--compare", f.compare, "whose all-reduce stands in the chains of other libraries")
      ->check(CLI::IsMember({"openmpi", "mpich", "none"}))
      ->capture_default_str();
  app.add_option("--products", o.gemms, "openblas, onednn2, onednn3, libxsmm, none: products of those chains")
      ->delimiter(',')
      ->capture_default_str();
  app.add_flag("--json", f.json, "one JSON object on stdout");
  app.add_option("--out", f.out, "write the JSON to this file too");
  app.add_option("--plot", f.plot, "write lanes of the last call and a roofline as SVG to this file");
  app.add_option("--trace", f.trace, "write what each rank did in calls of every row to this file");
  app.add_flag("--progress", o.progress, "what is measured, on stderr");
  app.add_option("--peer-folder", o.peer_folder, "where the peers' modules lie; default: lib beside bin");
  for (const auto& [name, text] : {std::pair("--group", &f.group), std::pair("--peer", &o.peer)}) {
    app.add_option(name, *text)->group("");
  }
  app.add_option("--rank", f.rank)->group("");
  app.add_option("--size", f.size)->group("");
  app.add_flag("--spoil", o.spoil)->group("");
}

}  // namespace

void add_bench_op(CLI::App& bench, int& exit_code) {
  auto* command =
      bench.add_subcommand("op", "A product between ranks beside its parts, other libraries and the lower bound");
  auto flags = std::make_shared<Flags>();
  add_what(*command, *flags);
  add_how(*command, *flags);
  command->footer(
      "fused: the operator. unfused: our product, all-reduce, add and rms_norm one after the other. matmul: the\n"
      "product alone. arithmetic: product, sums and tail without communication. Times are of the slowest rank.\n"
      "Examples:\n"
      "  tandem bench op mm_all_reduce_add_rms_norm -m 1,512 -d int8,int4-g128 --packed\n"
      "  tandem bench op -p 4 -m 512 -d fp16 --trace run.json --plot run.svg; tandem trace-stats run.json\n"
      "  tandem bench op --replay 'tandem,mm_all_reduce,rank=0/2 m=1 ...'");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace tandem::tool
