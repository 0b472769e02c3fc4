// SPDX-License-Identifier: Apache-2.0
#include "tools/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>

#include "bench/collective/model.h"
#include "bench/collective/operation.h"
#include "bench/collective/options.h"
#include "bench/collective/peer.h"
#include "bench/collective/rank.h"
#include "bench/collective/report.h"
#include "tandem/comm/launch_environment.h"
#include "tools/bench_group.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

using nlohmann::json;

struct Flags {
  bench::CollectiveOptions options;
  std::string least = "1K", most = "16M", step = "0";
  int ranks = 2;
  bool processes = false, json = false, no_check = false;
  std::string style = "nccl", out, plot;
  std::vector<std::string> compare;
  // Of a rank process.
  std::string group, meeting;
  int rank = -1, size = 0;
  // Of a simulation.
  bool simulate = false;
  double network_us = 5, network_gbps = 12.5;
};

constexpr const char* kPeers[] = {"openmpi", "mpich", "gloo"};

std::string settle(Flags& f) {
  bench::CollectiveOptions& o = f.options;
  o.least = bench::bytes_from_text(f.least);
  o.most = bench::bytes_from_text(f.most);
  o.step = f.step == "0" ? 0 : bench::bytes_from_text(f.step);
  const auto all = [](std::vector<std::string>& list) { return list.size() == 1 && list[0] == "all"; };
  if (all(o.operations)) {
    o.operations.clear();
    for (const auto& operation : bench::operations()) o.operations.emplace_back(operation.name);
  }
  if (all(o.types))
    o.types = {"int8", "uint8", "int32", "uint32", "int64", "uint64", "half", "float", "double", "bfloat16"};
  if (all(o.combinations)) o.combinations = {"sum", "prod", "max", "min", "avg"};
  if (o.peer_folder.empty()) {
    o.peer_folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib";
  }
  std::vector<std::string> peers;
  for (const std::string& name : f.compare) {
    if (name == "mpi" || name == "all") peers.insert(peers.end(), {"openmpi", "mpich"});
    if (name == "gloo" || name == "all") peers.emplace_back("gloo");
    if (name == "openmpi" || name == "mpich") peers.push_back(name);
    if (name != "mpi" && name != "all" && std::find(std::begin(kPeers), std::end(kPeers), name) == std::end(kPeers)) {
      return fmt::format("--compare {}: known are mpi, openmpi, mpich, gloo, all", name);
    }
  }
  f.compare = peers;
  if (o.root >= f.ranks) return fmt::format("--root {}: 0 to {} wanted", o.root, f.ranks - 1);
  return bench::complaint_about(o);
}

json group_of(json rows, const char* ranks_as) {
  rows["ranks_as"] = ranks_as;
  return rows;
}

// Ranks as threads of this process; the error of the first rank that failed.
Expected<json> run_threads(const Flags& f) {
  const auto comms = Communicator::local(f.ranks);
  if (!comms) return fail(comms.error());
  std::vector<Expected<json>> results(static_cast<size_t>(f.ranks), json());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < results.size(); ++rank) {
    threads.emplace_back([&, rank] { results[rank] = bench::run_collective_rank((*comms)[rank], f.options, ""); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) {
    if (!result) return fail(result.error());
  }
  return group_of(*results[0], "threads");
}

// A folder that is gone with this object.
class MeetingFolder {
 public:
  MeetingFolder() : path_((std::filesystem::temp_directory_path() / "tandem-bench-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~MeetingFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  MeetingFolder(const MeetingFolder&) = delete;
  MeetingFolder& operator=(const MeetingFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Expected<json> run_processes(const Flags& f, const std::string& peer) {
  std::unique_ptr<MeetingFolder> meeting;
  if (peer == "gloo") meeting = std::make_unique<MeetingFolder>();
  auto rows = run_group({f.ranks, peer, meeting ? meeting->path() : "", f.options.progress});
  if (!rows) return fail(rows.error());
  return group_of(std::move(*rows), "processes");
}

// A group for each peer that is here, or one without.
Expected<json> run_groups(const Flags& f, json& not_shown) {
  json groups = json::array();
  for (const std::string& peer : f.compare) {
    std::string why = bench::why_absent(f.options.peer_folder, peer);
    if (const auto launcher = launcher_of(peer, f.ranks); why.empty() && !launcher) why = launcher.error().message;
    if (!why.empty()) {
      not_shown.push_back(fmt::format("comparison with {}: {}", peer, why));
      continue;
    }
    auto group = run_processes(f, peer);
    if (!group) return fail(group.error().code, fmt::format("beside {}: {}", peer, group.error().message));
    groups.push_back(std::move(*group));
  }
  if (!groups.empty()) return groups;
  auto group = f.processes ? run_processes(f, "") : run_threads(f);
  if (!group) return fail(group.error());
  return json::array({std::move(*group)});
}

Status write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return {};
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (file) return {};
  return fail(ErrorCode::io, fmt::format("{}: could not be written", path));
}

int finish(const Flags& f, json groups, const json& not_shown) {
  const json report = {{"command", "bench collective"},
                       {"machine", bench::collective_machine()},
                       {"settings", bench::settings_json(f.options)},
                       {"groups", std::move(groups)},
                       {"not_shown", not_shown}};
  put(stdout, f.json ? report.dump() + "\n" : f.style == "hccl" ? bench::hccl_text(report) : bench::nccl_text(report));
  if (Status s = write_file(f.out, report.dump(1) + "\n"); !s) return report_failure(s.error().message, false);
  if (!f.plot.empty()) {
    if (Status s = write_file(f.plot, bench::collective_svg(report)); !s)
      return report_failure(s.error().message, false);
  }
  const int64_t wrong = bench::count_wrong_rows(report);
  if (wrong > 0)
    return report_failure(fmt::format("bench collective: {} configurations have wrong results", wrong), false);
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

Expected<json> run_rank(const Flags& f, const Rendezvous& rendezvous) {
  const auto comm = Communicator::connect(rendezvous);
  if (!comm) return fail(comm.error());
  return bench::run_collective_rank(*comm, f.options, f.meeting);
}

// A rank process of a group; rank 0 hands its rows to whoever started the group.
int run_member(const Flags& f, const std::optional<LaunchEnvironment>& launched) {
  const bool ours = f.rank >= 0;  // else an MPI's mpirun says which
  if (!ours && !launched) return report_failure("--group is for rank processes of this command only", f.json);
  const int rank = ours ? f.rank : launched->rank, ranks = ours ? f.size : launched->size;
  const auto rows = run_rank(f, {.rank = rank, .size = ranks, .name = "bench", .address = f.group, .device = rank});
  if (!rows) return report_failure(rows.error().message, false);
  if (rank == 0) put(stdout, rows->dump() + "\n");
  return 0;
}

// A user's own mpirun, srun or torchrun: rank 0 reports as the command does without.
int run_launched(Flags& f, const LaunchEnvironment& launched) {
  json not_shown = json::array();
  const std::string_view own = launched.launcher == "Open MPI" ? "openmpi"
                               : launched.launcher == "MPICH"  ? "mpich"
                                                               : "";
  for (const std::string& peer : f.compare) {
    std::string why = peer != own ? "this is not its mpirun" : bench::why_absent(f.options.peer_folder, peer);
    if (why.empty()) {
      f.options.peer = peer;
    } else {
      not_shown.push_back(fmt::format("comparison with {}: {}", peer, why));
    }
  }
  const auto meeting = rendezvous_of(launched, "bench");
  if (!meeting) return report_failure(meeting.error().message, f.json && launched.rank == 0);
  const auto rows = run_rank(f, *meeting);
  if (!rows) return report_failure(rows.error().message, f.json && launched.rank == 0);
  return launched.rank == 0 ? finish(f, json::array({group_of(*rows, "processes")}), not_shown) : 0;
}

// Two ranks with a core each give the parts, four and more what sharing a core costs.
int run_simulation(Flags& f) {
  json rows = json::array(), groups = json::array();
  json calibrations = json::object();
  for (const int ranks : {2, 4}) {
    auto group = run_group({ranks, "", "", f.options.progress, {"--calibrate"}});
    if (!group) return report_failure("bench collective: " + group.error().message, f.json);
    calibrations[std::to_string(ranks)] = (*group)["calibration"];
    for (const json& row : (*group)["rows"]) rows.push_back(row);
    groups.push_back(group_of(std::move(*group), "processes"));
  }
  const bench::Network network{f.network_us * 1e-6, f.network_gbps * 1e9};
  const int cores = bench::collective_machine()["usable_cores"].get<int>();
  const auto machine = bench::machine_from(calibrations["2"], calibrations["4"], cores, network);
  json report = bench::simulate(machine, rows);
  report["machine"] = bench::collective_machine();
  report["calibrations"] = calibrations;
  report["groups"] = groups;
  report["network"] = {{"latency_us", f.network_us}, {"gbytes_per_second", f.network_gbps}, {"measured", false}};
  put(stdout, f.json ? report.dump() + "\n" : bench::simulation_text(report));
  if (Status s = write_file(f.out, report.dump(1) + "\n"); !s) return report_failure(s.error().message, false);
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

int run(Flags& f) {
  const auto launched = f.rank >= 0 ? Expected<std::optional<LaunchEnvironment>>() : launch_environment();
  if (!launched) return report_failure(launched.error().message, f.json);
  if (*launched) f.ranks = (*launched)->size;
  if (std::string wrong = settle(f); !wrong.empty()) return report_failure(wrong, f.json);
  if (!f.group.empty()) return run_member(f, *launched);
  f.options.progress = f.options.progress || ::isatty(STDERR_FILENO) != 0;
  if (*launched) return run_launched(f, **launched);
  if (f.simulate) return run_simulation(f);
  json not_shown = json::array();
  auto groups = run_groups(f, not_shown);
  if (!groups) return report_failure("bench collective: " + groups.error().message, f.json);
  return finish(f, std::move(*groups), not_shown);
}

// Letters and long names are nccl-tests' and hccl_test's.
void add_what(CLI::App& app, Flags& f) {
  bench::CollectiveOptions& o = f.options;
  app.add_option("--op", o.operations,
                 "all_reduce, reduce_scatter, reduce_scatter_v, all_gather, all_gather_v, broadcast, reduce, scatter, "
                 "gather, all_to_all, all_to_all_v, sendrecv, all")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("-b,--minbytes", f.least, "smallest size: bytes of the largest buffer of a rank")
      ->capture_default_str();
  app.add_option("-e,--maxbytes", f.most, "largest size")->capture_default_str();
  app.add_option("-i,--stepbytes", f.step, "from size to size by adding this; 0: by -f")->capture_default_str();
  app.add_option("-f,--stepfactor", o.factor, "from size to size by this factor")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("-d,--datatype", o.types, "int8 ... uint64, half, bfloat16, float, double, all; hccl_test's words too")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("-o,--redop", o.combinations, "sum, prod, max, min, avg, all")->delimiter(',')->capture_default_str();
  app.add_option("-r,--root", o.root, "root rank")->check(CLI::Range(0, 63))->capture_default_str();
  app.add_option("-n,--iters", o.iterations, "calls of one visit; 0: as many as fill 10 ms")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("-w,--warmup_iters", o.warmup, "calls before the timing")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  app.add_option("-c,--check", o.check, "1: results of each timed size are compared before and after; 0: not")
      ->check(CLI::Range(0, 2))
      ->capture_default_str();
}

void add_how(CLI::App& app, Flags& f) {
  bench::CollectiveOptions& o = f.options;
  app.add_option("-p,--ranks", f.ranks, "ranks on this host")->check(CLI::Range(1, 64))->capture_default_str();
  app.add_flag("--processes", f.processes, "a process for each rank instead of a thread");
  app.add_option("--buffers", o.buffers,
                 "private: memory of the rank alone; device: from aclrtMalloc, which peers may map")
      ->check(CLI::IsMember({"private", "device"}))
      ->capture_default_str();
  app.add_option("--compare", f.compare,
                 "openmpi, mpich, gloo, mpi (both), all: run beside ours in the same processes, in turns")
      ->delimiter(',');
  app.add_option("--rounds", o.rounds, "every round visits ours and the peer once; times are medians over rounds")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--visit", o.visit, "seconds of one visit when -n is 0")
      ->check(CLI::Range(1e-5, 60.0))
      ->capture_default_str();
  app.add_option("--style", f.style, "nccl, hccl: whose table")
      ->check(CLI::IsMember({"nccl", "hccl"}))
      ->capture_default_str();
  app.add_flag("--simulate", f.simulate,
               "measure what all_reduce is made of and price its algorithms for up to 1,024 ranks");
  app.add_option("--network-us", f.network_us, "of a simulation: latency between hosts, assumed")
      ->check(CLI::Range(0.01, 1e6))
      ->capture_default_str();
  app.add_option("--network-gbps", f.network_gbps, "of a simulation: GB/s of a host's link, assumed")
      ->check(CLI::Range(0.001, 1e4))
      ->capture_default_str();
  app.add_flag("--json", f.json, "one JSON object on stdout");
  app.add_option("--out", f.out, "write the JSON to this file too");
  app.add_option("--plot", f.plot, "write time and bandwidth over size as SVG to this file");
  app.add_flag("--progress", o.progress, "what is measured and the time left on stderr, also when that is no terminal");
  app.add_option("--peer-folder", o.peer_folder, "where the peers' modules lie; default: lib beside bin");
  app.add_option("--group", f.group)->group("");
  app.add_option("--rank", f.rank)->group("");
  app.add_option("--size", f.size)->group("");
  app.add_flag("--calibrate", o.calibrate)->group("");
  app.add_option("--peer", o.peer)->group("");
  app.add_option("--meeting", f.meeting)->group("");
  app.add_flag("--spoil", o.spoil, "falsify results, to see that they are refused")->group("");
}

}  // namespace

void add_bench_collective(CLI::App& bench, int& exit_code) {
  auto* command = bench.add_subcommand(
      "collective", "Collectives between ranks, each verified in the same run, beside other libraries");
  auto flags = std::make_shared<Flags>();
  add_what(*command, *flags);
  add_how(*command, *flags);
  add_trace_option(*command);
  command->footer(
      "Sizes, columns and bus bandwidth are those of nccl-tests; times are of the slowest rank.\nExamples:\n"
      "  tandem bench collective --op all_reduce -b 1K -e 64M -f 4\n"
      "  tandem bench collective --op all -p 4 --processes -d float,half,bfloat16 -o sum,max\n"
      "  tandem bench collective --processes --compare mpi,gloo --out run.json --plot run.svg\n"
      "  tandem bench collective --op reduce_scatter_v -b 64M -e 64M --style hccl\n"
      "  tandem bench collective --simulate --network-us 2 --network-gbps 25\n"
      "  mpirun -n 2 tandem bench collective --compare openmpi");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace tandem::tool
