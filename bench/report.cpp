// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>

#include "tandem/exec/topology.h"
#include "tandem/version.h"

namespace tandem::bench {

using nlohmann::json;

namespace {

// Share of a limit that `amount` a call reaches, round by round.
double share_of(const Row& row, const std::string& limit, double amount) {
  const auto found = row.limits.find(limit);
  if (found == row.limits.end() || amount <= 0) return NAN;
  std::vector<double> rates;
  for (const double seconds : row.seconds) rates.push_back(amount / seconds);
  return median_ratio(rates, found->second);
}

// NaN has no place in JSON.
json number(double value, double scale = 1, int digits = 4) {
  if (!std::isfinite(value)) return nullptr;
  return std::stod(fmt::format("{:.{}g}", value * scale, digits));
}

std::string first_word_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

size_t memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  size_t kib = 0;
  file >> word >> kib;
  return kib << 10;
}

json machine_json(const Session& session) {
  const Topology& t = topology();
  utsname system{};
  uname(&system);
  char date[32] = "";
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return {{"cpu", t.cpu_name},
          {"cores", t.cores.size()},
          {"usable_cores", t.usable_cores},
          {"l1d_bytes", t.l1d_bytes},
          {"l2_bytes", t.l2_bytes},
          {"l3_bytes", t.l3_bytes},
          {"memory_bytes", memory_bytes()},
          {"huge_pages", first_word_line("/sys/kernel/mm/transparent_hugepage/enabled")},
          {"kernel", std::string(system.sysname) + " " + system.release},
          {"compiler", TANDEM_BENCH_COMPILER},
          {"flags", TANDEM_BENCH_FLAGS},
          {"version", version()},
          {"revision", session.options().revision},
          {"date", date}};
}

json settings_json(const Session& session) {
  const Options& o = session.options();
  return {{"rounds", o.rounds}, {"seconds_of_a_visit", o.min_time}, {"pool_bytes", session.pool_bytes()},
          {"quick", o.quick}, {"peers_held_to_avx2", o.peers_avx2}};
}

json crews_json(const Session& session) {
  json list = json::array();
  for (const auto& crew : session.crews()) {
    list.push_back({{"threads", crew->threads},
                    {"read", crew->limits.read_form().name()},
                    {"read_gbps", number(crew->limits.read_form().bytes_per_second, 1e-9)},
                    {"copy", crew->limits.copy_form()}});
  }
  return list;
}

json row_json(const Row& row) {
  const Figures f = figures_of(row);
  json rounds = json::array(), limits = json::object(), ratios = json::object();
  for (const double seconds : row.seconds) rounds.push_back(number(seconds, 1e6, 5));
  for (const auto& [name, rates] : row.limits) limits[name] = number(median(rates), 1e-9);
  for (const auto& [name, ratio] : row.ratios) ratios[name] = number(ratio);
  return {{"family", row.family},   {"types", row.types},
          {"layout", row.layout},   {"math", row.math},
          {"detail", row.detail},   {"m", row.m},
          {"n", row.n},             {"k", row.k},
          {"threads", row.threads}, {"who", row.who},
          {"ours", row.ours},       {"version", row.version},
          {"flags", row.flags},     {"flops", row.flops},
          {"bytes", row.bytes},     {"median_us", number(f.seconds, 1e6, 6)},
          {"min_us", number(f.least, 1e6, 6)},
          {"rounds_us", rounds},    {"gbps", number(f.bytes_per_second, 1e-9)},
          {"gflops", number(f.flops_per_second, 1e-9)},
          {"share_of_fma_peak", number(f.fma)},
          {"share_of_compute_limit", number(f.compute)},
          {"share_of_memory_limit", number(f.memory)},
          {"share_of_roofline", number(f.roofline)},
          {"fma_limit", row.fma},
          {"compute_limit", row.compute},
          {"memory_limit", row.memory},
          {"limits", limits},       {"ratios", ratios},
          {"verified", row.verdict.verified},
          {"error_of_bound", number(row.verdict.worst)},
          {"bits_of", row.verdict.bits}};
}

json refused_json(const Row& row) {
  return {{"family", row.family}, {"types", row.types}, {"layout", row.layout}, {"math", row.math},
          {"m", row.m}, {"n", row.n}, {"k", row.k}, {"threads", row.threads}, {"who", row.who},
          {"verified", false}, {"why", row.verdict.complaint}};
}

}  // namespace

Figures figures_of(const Row& row) {
  Figures f;
  f.seconds = median(row.seconds);
  f.least = least(row.seconds);
  f.bytes_per_second = row.bytes / f.seconds;
  f.flops_per_second = row.flops > 0 ? row.flops / f.seconds : NAN;
  f.fma = share_of(row, row.fma, row.flops);
  f.compute = share_of(row, row.compute, row.flops);
  f.memory = share_of(row, row.memory, row.bytes);
  f.roofline = std::fmax(f.compute, f.memory);
  return f;
}

json report_json(const Session& session) {
  json rows = json::array(), refused = json::array();
  for (const Row& row : session.rows()) rows.push_back(row_json(row));
  for (const Row& row : session.refused()) refused.push_back(refused_json(row));
  return {{"machine", machine_json(session)}, {"settings", settings_json(session)}, {"threads", crews_json(session)},
          {"rows", rows}, {"refused", refused}, {"not_shown", session.missing()}};
}

namespace {

std::string percent(double share) { return std::isfinite(share) ? fmt::format("{:.0f} %", 100 * share) : "-"; }
std::string plain(double value) { return std::isfinite(value) ? fmt::format("{:.1f}", value) : "-"; }

std::string heading(const Row& row) {
  const std::string shape = row.k > 0 ? fmt::format("{} x {}", row.k, row.n) : fmt::format("n {}", row.n);
  std::string text = fmt::format("{} {} {}  {}  M {}  threads {}", row.family, row.types, row.detail, shape, row.m, row.threads);
  for (const auto& [name, rates] : row.limits) {
    const bool bytes = name == "read" || name.ends_with("copy");
    text += fmt::format("  {} {:.1f} {}", name, median(rates) * 1e-9, bytes ? "GB/s" : "GFLOP/s");
  }
  return text;
}

std::string line_of(const Row& row) {
  const Figures f = figures_of(row);
  std::string ratios;
  for (const auto& [peer, ratio] : row.ratios) ratios += fmt::format("  {:.2f} x {}", ratio, peer);
  const std::string who = row.ours ? row.who : fmt::format("{} {}", row.who, row.flags.substr(0, row.flags.find(';')));
  return fmt::format("  {:<20} {:<10} {:<8} {:>10.1f} {:>10.1f} {:>7} {:>8} {:>6} {:>6} {:>6}  verified {:.2f}{}{}\n", who, row.layout,
                     row.math, f.seconds * 1e6, f.least * 1e6, plain(f.bytes_per_second * 1e-9), plain(f.flops_per_second * 1e-9),
                     percent(f.fma), percent(f.memory), percent(f.roofline), row.verdict.worst,
                     row.verdict.bits.empty() ? "" : ", bits", ratios);
}

}  // namespace

std::string report_text(const Session& session) {
  std::string text;
  for (const auto& crew : session.crews()) {
    text += fmt::format("threads {}: fastest read {:.1f} GB/s ({}), copy by {}\n", crew->threads,
                        crew->limits.read_form().bytes_per_second * 1e-9, crew->limits.read_form().name(), crew->limits.copy_form());
  }
  std::string last;
  for (const Row& row : session.rows()) {
    if (const std::string head = heading(row); head != last) {
      text += fmt::format("\n{}\n  {:<20} {:<10} {:<8} {:>10} {:>10} {:>7} {:>8} {:>6} {:>6} {:>6}\n", head, "", "layout", "math",
                          "median us", "min us", "GB/s", "GFLOP/s", "FMA", "memory", "roof");
      last = head;
    }
    text += line_of(row);
  }
  for (const std::string& what : session.missing()) text += "not shown: " + what + "\n";
  return text;
}

}  // namespace tandem::bench
