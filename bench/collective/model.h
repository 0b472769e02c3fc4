// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

// What collectives cost, from measured parts: alpha (one wait for all ranks of a host), beta (a byte copied into the
// window and out of it), gamma (a byte of input combined), all in seconds; and a network between hosts, which is given,
// not measured. See docs/performance.md.
namespace tandem::bench {

// Cost of a byte over the size of the buffers it belongs to.
class Rate {
 public:
  void add(double bytes, double seconds_a_byte) { points_.emplace_back(bytes, seconds_a_byte); }
  double at(double bytes) const;  // between points by the logarithm of the size
  bool empty() const { return points_.empty(); }

 private:
  std::vector<std::pair<double, double>> points_;  // rising sizes
};

struct Network {
  double latency = 5e-6;             // of one message between hosts
  double bytes_per_second = 12.5e9;  // of one host's link, shared by its ranks
};

struct Machine {
  int cores = 1;
  double call = 0;       // of one call besides its waits
  double wait_two = 0;   // one wait for all, two ranks with a core each
  double wait_peer = 0;  // more for each further rank with a core of its own
  double turn = 0;       // a rank of several on a core: until it runs again, for each rank there
  Rate put, get, combine;
  Network network;

  // One wait for all of `ranks` on this host.
  double wait(int ranks) const;
  // Ranks that share a core.
  double share(int ranks) const;
};

// An algorithm's name and time.
struct Price {
  std::string_view algorithm;
  double seconds = 0;
};

// All-reduce of `bytes` on one host, through windows: whole (everybody combines everything) or sliced, as the library
// itself would do it, and in place in device memory.
std::vector<Price> price_on_host(const Machine& machine, int ranks, double bytes);
// What the library does there.
Price chosen_on_host(const Machine& machine, int ranks, double bytes);
// On hosts of `ranks` each: slices of a host between hosts by a ring or by halving and doubling, a tree, a flat ring
// over all ranks, and everything to everybody.
std::vector<Price> price_between_hosts(const Machine& machine, int hosts, int ranks, double bytes);

// Machine from calibrations (calibrate.h) of 2 ranks and of more than there are cores.
Machine machine_from(const nlohmann::json& two, const nlohmann::json& many, int cores, const Network& network);

// The tables: prices, crossover points, the choice they imply, and predictions beside the times measured.
std::string simulation_text(const nlohmann::json& report);
nlohmann::json simulate(const Machine& machine, const nlohmann::json& measured_rows);

}  // namespace tandem::bench
