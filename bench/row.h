// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tandem::bench {

// What the check of one timed configuration found.
struct Verdict {
  bool verified = false;
  double worst = 0;        // largest error / allowed error over the sample
  std::string bits;        // "portable": the sample has the bits of that table; empty: not under the bit promise
  std::string complaint;   // why not
};

// One line of the result.
struct Row {
  std::string family, types, layout, math, detail;  // what
  int64_t m = 0, n = 0, k = 0;
  int threads = 1;
  std::string who, version, flags;                  // a kernel table, or a library's name
  bool ours = true;
  double flops = 0, bytes = 0;                      // of one call; bytes that must cross memory, read and written
  std::string fma, compute, memory;                 // which limits bound it, keys of limits; empty: none
  std::vector<double> seconds;                      // one call, one figure a round
  std::map<std::string, std::vector<double>> limits;  // operations or bytes a second of the same rounds
  std::map<std::string, double> ratios;               // speed / speed of a peer
  Verdict verdict;
};

double median(std::vector<double> values);
double least(const std::vector<double>& values);
// Median of a[i] / b[i]: what drifts between rounds on a shared machine drifts for both.
double median_ratio(const std::vector<double>& a, const std::vector<double>& b);

// One thing that takes its turn in every round.
struct Contender {
  Row row;
  std::function<void()> run;
  std::function<Verdict()> verify;   // of the output of the last run
  std::function<bool()> unchanged;   // after the timing: the output still has the verified bits
  double pause = 0;                  // seconds to wait after a visit (threads of a library that spin on)
};

// A limit that takes its turn beside them; `amount` of one run, in operations or bytes.
struct LimitTurn {
  std::string name;
  double amount = 0;
  std::function<void()> run;
  std::vector<double> seconds;
};

struct Turns {
  std::vector<LimitTurn> limits;
  std::vector<Contender> contenders;
};

// A B C A B C ..: every round visits each once for about min_time. Contenders whose check failed are not timed; after
// the rounds rows carry seconds and limits, and a check that the output did not change.
void measure(Turns& turns, int rounds, double min_time);

}  // namespace tandem::bench
