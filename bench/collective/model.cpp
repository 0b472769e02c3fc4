// SPDX-License-Identifier: Apache-2.0
#include "bench/collective/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tandem::bench {

using nlohmann::json;

namespace {

// As in tandem/comm/reductions.cpp.
constexpr double kTurnBytes = 256 * 1024, kWholeBytes = 32 * 1024;

Rate rate_from(const json& points) {
  Rate rate;
  for (const json& point : points) rate.add(point.at(0).get<double>(), point.at(1).get<double>());
  return rate;
}

double steps_of_two(int count) { return std::ceil(std::log2(std::max(1, count))); }

Price cheapest(const std::vector<Price>& prices) {
  return *std::min_element(prices.begin(), prices.end(),
                           [](const Price& a, const Price& b) { return a.seconds < b.seconds; });
}

}  // namespace

double Rate::at(double bytes) const {
  if (points_.empty()) return 0;
  if (bytes <= points_.front().first) return points_.front().second;
  for (size_t i = 1; i < points_.size(); ++i) {
    const auto& [low, low_rate] = points_[i - 1];
    const auto& [high, high_rate] = points_[i];
    if (bytes > high) continue;
    const double share = std::log(bytes / low) / std::log(high / low);
    return low_rate + share * (high_rate - low_rate);
  }
  return points_.back().second;
}

double Machine::share(int ranks) const { return std::ceil(static_cast<double>(ranks) / cores); }

double Machine::wait(int ranks) const {
  if (ranks <= 1) return 0;
  if (ranks > cores) return turn * share(ranks);
  return wait_two + wait_peer * (ranks - 2);
}

std::vector<Price> price_on_host(const Machine& m, int ranks, double bytes) {
  if (ranks == 1) return {{"copy", m.call + bytes * m.get.at(bytes)}};
  const double others = 1.0 - 1.0 / ranks, share = m.share(ranks), wait = m.wait(ranks);
  const double put = m.put.at(bytes), get = m.get.at(bytes), combine = m.combine.at(bytes);
  const double turns = std::ceil(bytes / kTurnBytes) + 1;
  const double whole = m.call + wait + share * bytes * (put + ranks * combine);
  const double sliced = m.call + turns * wait + share * bytes * (others * put + combine + put / ranks + others * get);
  const double direct = m.call + 2 * wait + share * bytes * (combine + others * get);
  return {{"whole", whole}, {"sliced", sliced}, {"direct", direct}};
}

Price chosen_on_host(const Machine& m, int ranks, double bytes) {
  const auto prices = price_on_host(m, ranks, bytes);
  return ranks == 1 || bytes * (ranks - 1) <= kWholeBytes ? prices[0] : prices[1];
}

// One host's link carries what all its ranks send; inside, reduce-scatter and all-gather of slices are half an
// all-reduce each.
std::vector<Price> price_between_hosts(const Machine& m, int hosts, int ranks, double bytes) {
  const double inside = chosen_on_host(m, ranks, bytes).seconds;
  if (hosts == 1) return {{"one host", inside}};
  const double a = m.network.latency, b = 1 / m.network.bytes_per_second, gamma = m.combine.at(bytes / ranks);
  const double moved = 2 * bytes * (1 - 1.0 / hosts) * b, summed = bytes / ranks * gamma * 2;
  const int all = hosts * ranks;
  const double step = std::max(a, m.wait_two);
  return {{"slices, ring", inside + 2 * (hosts - 1) * a + moved + summed},
          {"slices, halving", inside + 2 * steps_of_two(hosts) * a + moved + summed},
          {"tree of hosts", inside + 2 * steps_of_two(hosts) * (a + bytes * b) + summed * ranks},
          {"flat ring", m.call + 2 * (all - 1) * step + 2 * bytes * (1 - 1.0 / all) * b + bytes * gamma}};
}

Machine machine_from(const json& two, const json& many, int cores, const Network& network) {
  Machine m;
  m.cores = cores;
  m.wait_two = two.at("wait").get<double>();
  m.wait_peer = two.at("look").get<double>();
  m.call = two.at("call").get<double>();
  const int ranks = many.at("ranks").get<int>();
  const double wait = many.at("wait").get<double>();
  if (ranks > cores) m.turn = wait / m.share(ranks);
  if (ranks <= cores) m.wait_peer = std::max(0.0, (wait - m.wait_two) / (ranks - 2));
  m.put = rate_from(two.at("put"));
  m.get = rate_from(two.at("get"));
  m.combine = rate_from(two.at("combine"));
  m.network = network;
  return m;
}

namespace {

json priced(const std::vector<Price>& prices) {
  json list = json::object();
  for (const Price& price : prices) list[std::string(price.algorithm)] = price.seconds * 1e6;
  return list;
}

// From which size on another algorithm is the cheapest.
json crossovers(const Machine& m, int hosts, int ranks) {
  json list = json::array();
  std::string_view last;
  for (double bytes = 256; bytes <= double{1 << 30}; bytes *= std::sqrt(2.0)) {
    const auto prices = hosts == 1 ? price_on_host(m, ranks, bytes) : price_between_hosts(m, hosts, ranks, bytes);
    std::vector<Price> usable;
    for (const Price& p : prices) {
      if (p.algorithm != "direct") usable.push_back(p);  // a matter of buffers, not of sizes
    }
    const Price best = cheapest(usable);
    if (best.algorithm != last) list.push_back({{"from_bytes", std::round(bytes)}, {"algorithm", best.algorithm}});
    last = best.algorithm;
  }
  return list;
}

json sizes_of(const Machine& m, int hosts, int ranks) {
  json list = json::array();
  for (double bytes = 1024; bytes <= double{1 << 28}; bytes *= 16) {
    const auto prices = hosts == 1 ? price_on_host(m, ranks, bytes) : price_between_hosts(m, hosts, ranks, bytes);
    list.push_back({{"bytes", bytes}, {"us", priced(prices)}, {"best", cheapest(prices).algorithm}});
  }
  return list;
}

}  // namespace

json simulate(const Machine& m, const json& measured_rows) {
  json result = {{"clusters", json::array()}, {"predictions", json::array()}};
  constexpr std::pair<int, int> kClusters[] = {{1, 2}, {1, 4},  {1, 8},   {1, 32}, {2, 8},
                                               {4, 8}, {4, 32}, {16, 32}, {32, 32}};
  Machine roomy = m;  // as many cores as ranks: what a real host has
  roomy.cores = 1 << 10;
  for (const auto& [hosts, ranks] : kClusters) {
    result["clusters"].push_back({{"hosts", hosts},
                                  {"ranks_a_host", ranks},
                                  {"sizes", sizes_of(roomy, hosts, ranks)},
                                  {"crossovers", crossovers(roomy, hosts, ranks)}});
  }
  for (const json& row : measured_rows) {
    const double bytes = row.at("bytes").get<double>(), us = row.at("out_of_place").at("us").get<double>();
    const Price price = chosen_on_host(m, row.at("ranks").get<int>(), bytes);
    result["predictions"].push_back({{"ranks", row.at("ranks")},
                                     {"bytes", bytes},
                                     {"measured_us", us},
                                     {"predicted_us", price.seconds * 1e6},
                                     {"algorithm", price.algorithm}});
  }
  return result;
}

namespace {

std::string size_text(double bytes) {
  if (bytes >= 1 << 20) return fmt::format("{:.3g}M", bytes / (1 << 20));
  return bytes >= 1 << 10 ? fmt::format("{:.3g}K", bytes / (1 << 10)) : fmt::format("{:.0f}", bytes);
}

std::string cluster_text(const json& cluster) {
  const int hosts = cluster["hosts"].get<int>(), ranks = cluster["ranks_a_host"].get<int>();
  std::string text = fmt::format("\n# {} ranks: {} hosts x {}\n", hosts * ranks, hosts, ranks);
  for (const json& size : cluster["sizes"]) {
    text += fmt::format("  {:>7}", size_text(size["bytes"].get<double>()));
    for (const auto& [name, us] : size["us"].items())
      text += fmt::format("  {} {:.1f} us{}", name, us.get<double>(), size["best"] == name ? " *" : "");
    text += "\n";
  }
  text += "  cheapest:";
  for (const json& from : cluster["crossovers"])
    text +=
        fmt::format("  from {}: {}", size_text(from["from_bytes"].get<double>()), from["algorithm"].get<std::string>());
  return text + "\n";
}

}  // namespace

std::string simulation_text(const json& simulated) {
  std::string text = "# all_reduce, float; a core for each rank; * the cheapest\n";
  for (const json& cluster : simulated["clusters"]) text += cluster_text(cluster);
  text += "\n# the same model beside this machine (us)\n";
  for (const json& p : simulated["predictions"]) {
    const double measured = p["measured_us"].get<double>(), predicted = p["predicted_us"].get<double>();
    text += fmt::format("  {} ranks {:>7}  {:<7} measured {:>9.2f}  predicted {:>9.2f}  {:+.0f} %\n",
                        p["ranks"].get<int>(), size_text(p["bytes"].get<double>()), p["algorithm"].get<std::string>(),
                        measured, predicted, 100 * (predicted / measured - 1));
  }
  return text;
}

}  // namespace tandem::bench
