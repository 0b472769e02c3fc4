// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace tandem::test {

// One death: `rank` of `size` ranks running `op`, killed at its step number `step` (0 = at a random time).
struct KillPoint {
  std::string op;
  int size = 2;
  int rank = 0;
  int64_t step = 0;
  int wait_us = 0;  // of a random time: from the moment all ranks run
};

// How many steps each rank passes in two rounds of the operator.
std::vector<int64_t> steps_of(const std::string& op, int size);
// Every step of every rank of every operator, 2 to 5 ranks.
std::vector<KillPoint> all_steps();
std::vector<KillPoint> random_times(size_t count, uint32_t seed);

struct KillStatistics {
  size_t points = 0, hangs = 0, unnamed = 0, leftovers = 0;
  std::vector<double> notice_ms;  // of every survivor of every point
  std::string first_fault;        // words about the first point that went wrong
  double median() const;
  double worst() const;
  std::string text() const;
};

// Runs the points one after the other on two busy cores; what has not ended after so long hangs.
KillStatistics run_points(const std::vector<KillPoint>& points, double hang_seconds = 20);

// Fails the test where a point went wrong or the limits of notice do not hold.
void expect_all_named(const KillStatistics& statistics);

}  // namespace tandem::test
