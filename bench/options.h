// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tandem::bench {

// What `tandem bench kernel` was asked to measure.
struct Options {
  std::vector<std::string> families = {"gemm", "int8", "rows", "attention"};
  std::vector<std::string> tables;  // empty: every table but portable and reference
  std::vector<std::string> types;   // activations x weights, empty: those of the family
  std::vector<std::string> layouts = {"packed"};
  std::vector<std::string> math = {"exact"};
  std::vector<std::string> offsets = {"integer"};
  std::vector<std::string> peers = {"all"};
  bool peers_avx2 = false;  // peers use nothing newer
  std::vector<std::pair<int64_t, int64_t>> shapes = {{2048, 4096}};  // k, n
  std::vector<int64_t> m = {1, 8, 32, 128};
  std::vector<int> threads = {1};
  int rounds = 7;
  double min_time = 0.03;  // seconds of one visit
  bool quick = false;
  bool json = false;
  std::string out, plot, revision, peer_folder;
  std::string spoil;  // for the tests: results of this table are falsified before they are verified
};

}  // namespace tandem::bench
