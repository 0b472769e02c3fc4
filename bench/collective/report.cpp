// SPDX-License-Identifier: Apache-2.0
#include "bench/collective/report.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <ctime>

#include "tandem/exec/topology.h"
#include "tandem/version.h"

namespace tandem::bench {

using nlohmann::json;

json collective_machine() {
  const Topology& t = topology();
  utsname system{};
  uname(&system);
  char date[32] = "";
  const std::time_t now = std::time(nullptr);
  tm utc{};
  gmtime_r(&now, &utc);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {{"cpu", t.cpu_name},
          {"cores", t.cores.size()},
          {"usable_cores", t.usable_cores},
          {"l2_bytes", t.l2_bytes},
          {"l3_bytes", t.l3_bytes},
          {"kernel", std::string(system.sysname) + " " + system.release},
          {"compiler", TANDEM_COMPILER},
          {"version", version()},
          {"date", date}};
}

json settings_json(const CollectiveOptions& o) {
  return {{"min_bytes", o.least},          {"max_bytes", o.most}, {"step_bytes", o.step}, {"step_factor", o.factor},
          {"iterations", o.iterations},    {"warmup", o.warmup},  {"check", o.check},     {"rounds", o.rounds},
          {"seconds_of_a_visit", o.visit}, {"buffers", o.buffers}};
}

namespace {

bool is_wrong(const json& row) {
  for (const char* who : {"out_of_place", "in_place", "peer"}) {
    if (row.contains(who) && row[who]["wrong"].get<int64_t>() != 0) return true;
  }
  return false;
}

std::string figures(const json& row, const char* who) {
  if (!row.contains(who)) return fmt::format("{:>9} {:>7} {:>7} {:>6}", "N/A", "N/A", "N/A", "N/A");
  const json& f = row[who];
  const std::string wrong = row["checked"].get<bool>() ? fmt::format("{}", f["wrong"].get<int64_t>()) : "N/A";
  return fmt::format("{:>9.2f} {:>7.2f} {:>7.2f} {:>6}", f["us"].get<double>(), f["algbw"].get<double>(),
                     f["busbw"].get<double>(), wrong);
}

std::string peer_figures(const json& row) {
  if (!row.contains("peer")) return "      not shown";
  const bool wrong = row["peer"]["wrong"].get<int64_t>() != 0;
  return fmt::format("{:>9.2f} {:>6.2f}{}", row["peer"]["us"].get<double>(), row["ratio"].get<double>(),
                     wrong ? " WRONG" : "");
}

std::string heading(const json& group) {
  const bool peer = group.contains("peer");
  std::string text = fmt::format("# {}\n", group["communicator"].get<std::string>());
  if (peer)
    text += fmt::format("# beside it: {} ({}), in turns in the same processes\n",
                        group["peer"]["name"].get<std::string>(), group["peer"]["version"].get<std::string>());
  const std::string name = peer ? group["peer"]["name"].get<std::string>() : "";
  text += "#\n#                                                          out-of-place                       in-place\n";
  text += fmt::format("# {:>11} {:>12} {:>9} {:>6} {:>5} {:>9} {:>7} {:>7} {:>6} {:>9} {:>7} {:>7} {:>6}{}\n", "size",
                      "count", "type", "redop", "root", "time", "algbw", "busbw", "#wrong", "time", "algbw", "busbw",
                      "#wrong", peer ? fmt::format(" {:>9}", name) : "");
  text += fmt::format("# {:>11} {:>12} {:>9} {:>6} {:>5} {:>9} {:>7} {:>7} {:>6} {:>9} {:>7} {:>7} {:>6}{}\n", "(B)",
                      "(elements)", "", "", "", "(us)", "(GB/s)", "(GB/s)", "", "(us)", "(GB/s)", "(GB/s)", "",
                      peer ? "      (us)  ratio" : "");
  return text;
}

std::string group_text(const json& group) {
  std::string text = heading(group), op;
  double sum = 0;
  int count = 0;
  for (const json& row : group["rows"]) {
    if (row["op"] != op) text += fmt::format("# {}\n", op = row["op"].get<std::string>());
    text += fmt::format("  {:>11} {:>12} {:>9} {:>6} {:>5} {} {}{}\n", row["bytes"].get<size_t>(),
                        row["count"].get<int64_t>(), row["type"].get<std::string>(), row["redop"].get<std::string>(),
                        row["root"].get<int>(), figures(row, "out_of_place"), figures(row, "in_place"),
                        group.contains("peer") ? " " + peer_figures(row) : "");
    for (const char* who : {"out_of_place", "in_place"}) {
      if (!row.contains(who)) continue;
      sum += row[who]["busbw"].get<double>();
      ++count;
    }
  }
  if (count > 0) text += fmt::format("# Avg bus bandwidth    : {:.4g}\n", sum / count);
  return text;
}

}  // namespace

int64_t count_wrong_rows(const json& report) {
  int64_t wrong = 0;
  for (const json& group : report["groups"]) {
    for (const json& row : group["rows"]) wrong += is_wrong(row);
  }
  return wrong;
}

std::string nccl_text(const json& report) {
  std::string text;
  for (const json& group : report["groups"]) text += group_text(group);
  const int64_t wrong = count_wrong_rows(report);
  text += fmt::format("# Out of bounds values : {} {}\n", wrong, wrong == 0 ? "OK" : "FAILED");
  for (const json& line : report["not_shown"]) text += "not shown: " + line.get<std::string>() + "\n";
  return text;
}

std::string hccl_text(const json& report) {
  const json& s = report["settings"];
  std::string text =
      fmt::format("the minbytes is {}, maxbytes is {}, iters is {}, warmup_iters is {}\n", s["min_bytes"].get<size_t>(),
                  s["max_bytes"].get<size_t>(), s["iterations"].get<int>(), s["warmup"].get<int>());
  for (const json& group : report["groups"]) {
    std::string op;
    for (const json& row : group["rows"]) {
      const std::string name = fmt::format("{} {} {}", row["op"].get<std::string>(), row["type"].get<std::string>(),
                                           row["redop"].get<std::string>());
      if (name != op)
        text += fmt::format("{}:\n{:<20}| {:<15}| {:<22}| {}\n", op = name,
                            "data_size(Bytes):", "aveg_time(us):", "alg_bandwidth(GB/s):", "check_result:");
      const json& f = row.contains("out_of_place") ? row["out_of_place"] : row["in_place"];
      const char* verdict = !row["checked"].get<bool>() ? "NULL" : is_wrong(row) ? "failed" : "success";
      text += fmt::format("{:<20}| {:<15.2f}| {:<22.5f}| {}\n", row["bytes"].get<size_t>(), f["us"].get<double>(),
                          f["algbw"].get<double>(), verdict);
    }
  }
  for (const json& line : report["not_shown"]) text += "not shown: " + line.get<std::string>() + "\n";
  return text;
}

}  // namespace tandem::bench
