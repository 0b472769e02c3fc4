// SPDX-License-Identifier: Apache-2.0
#include "bench/op/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/op/op_limits.h"

namespace tandem::bench::op {

using nlohmann::json;

namespace {

const json* contender(const json& row, std::string_view name) {
  for (const json& c : row["contenders"]) {
    if (c["name"] == name) return &c;
  }
  return nullptr;
}

double us_of(const json& row, std::string_view name) {
  const json* c = contender(row, name);
  return c != nullptr ? (*c)["us"].get<double>() : 0;
}

double cpu_of(const json& row, std::string_view name) {
  const json* c = contender(row, name);
  return c != nullptr ? (*c)["cpu_us"].get<double>() : 0;
}

// The median over rounds of `of` by `to`: both lie in the same moments.
double median_ratio(const json& of, const json& to) {
  std::vector<double> ratios;
  const auto a = of["rounds_us"].get<std::vector<double>>(), b = to["rounds_us"].get<std::vector<double>>();
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) ratios.push_back(a[i] / std::max(b[i], 1e-9));
  if (ratios.empty()) return 0;
  std::sort(ratios.begin(), ratios.end());
  return ratios[ratios.size() / 2];
}

void add_bound(json& row) {
  const double read = us_of(row, kReadLimit), peak = us_of(row, kPeak);
  if (read <= 0 || peak <= 0) return;
  const double rate = row["weight_bytes"].get<double>() / read;  // bytes a us of one rank, all reading
  const double arithmetic = row["flops"].get<double>() / (row["peak_operations"].get<double>() / peak);
  const double moved = row["communicated_bytes"].get<double>() / rate;
  row["bound"] = {{"us", std::max(read, arithmetic) + moved},
                  {"memory_us", read},
                  {"arithmetic_us", arithmetic},
                  {"communication_us", moved},
                  {"read_gbytes_per_second", rate * 1e-3},
                  {"peak_gops", row["peak_operations"].get<double>() / peak * 1e-3}};
}

std::string machine_line(const json& report) {
  const json& machine = report["machine"];
  return fmt::format(
      "{}, {} cores ({} usable); {}; table {}, {} threads a rank; {}\n", machine["cpu"].get<std::string>(),
      machine["cores"].get<size_t>(), machine["usable_cores"].get<int>(), report["communicator"].get<std::string>(),
      report["table"].get<std::string>(), report["threads"].get<int>(), machine["date"].get<std::string>());
}

std::string row_text(const json& row) {
  std::string text = fmt::format(
      "\n{} {} {} m={} k={} n={} {}, {} ranks\n  {}\n", row["op"].get<std::string>(), row["type"].get<std::string>(),
      row["math"].get<std::string>(), row["m"].get<int64_t>(), row["k"].get<int64_t>(), row["n"].get<int64_t>(),
      row["layout"].get<std::string>(), row["ranks"].get<int>(), row["line"].get<std::string>());
  text += fmt::format("  {:<34} {:>12} {:>12} {:>10} {:>10} {:>10}\n", "", "us", "least us", "of fused", "of bound",
                      "cpu us");
  const double bound = row.contains("bound") ? row["bound"]["us"].get<double>() : 0;
  for (const json& c : row["contenders"]) {
    const std::string wrong = c["wrong"].get<std::string>();
    if (!wrong.empty()) {
      text += fmt::format("  {:<34} not shown: {}\n", c["name"].get<std::string>(), wrong);
      continue;
    }
    const double us = c["us"].get<double>();
    text += fmt::format("  {:<34} {:>12.2f} {:>12.2f} {:>10.3f} {:>10} {:>10.2f}{}\n", c["name"].get<std::string>(), us,
                        c["min_us"].get<double>(), c["of_fused"].get<double>(),
                        bound > 0 ? fmt::format("{:.1f} %", 100 * bound / us) : "-", c["cpu_us"].get<double>(),
                        c["verified"].get<bool>() ? "  verified" : "");
  }
  if (bound > 0) {
    text += fmt::format("  {:<34} {:>12.2f}   weights {:.2f}, arithmetic {:.2f}, communication {:.2f}\n", "lower bound",
                        bound, row["bound"]["memory_us"].get<double>(), row["bound"]["arithmetic_us"].get<double>(),
                        row["bound"]["communication_us"].get<double>());
  } else {
    text += "  lower bound: not shown (built without Google Benchmark)\n";
  }
  return text + fmt::format("  over the product alone {:+.2f} %; processor time {:.3f} of the arithmetic's\n",
                            100 * (row["over_matmul"].get<double>() - 1), row["cpu_of_arithmetic"].get<double>());
}

}  // namespace

void add_figures(json& report) {
  for (json& row : report["rows"]) {
    add_bound(row);
    const json fused = *contender(row, "fused");
    for (json& c : row["contenders"]) c["of_fused"] = median_ratio(c, fused);
    const json* matmul = contender(row, "matmul");
    row["over_matmul"] = matmul != nullptr ? median_ratio(fused, *matmul) : 0.0;
    const double arithmetic = cpu_of(row, "arithmetic");
    row["cpu_of_arithmetic"] = arithmetic > 0 ? cpu_of(row, "fused") / arithmetic : 0.0;
  }
}

std::string op_text(const json& report) {
  std::string text = machine_line(report);
  for (const json& row : report["rows"]) text += row_text(row);
  for (const json& line : report["not_shown"]) text += fmt::format("not shown: {}\n", line.get<std::string>());
  return text;
}

int64_t count_wrong(const json& report) {
  int64_t wrong = 0;
  for (const json& row : report["rows"]) {
    for (const json& c : row["contenders"]) wrong += c["wrong"].get<std::string>().empty() ? 0 : 1;
  }
  return wrong;
}

}  // namespace tandem::bench::op
