// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tandem/base/status.h"

namespace tandem::tool {

// One span of a trace, microseconds.
struct TracedSpan {
  std::string category;
  double begin_us = 0, end_us = 0;
  int64_t bytes = 0;
};

// Spans of each rank, and how many it dropped.
struct TracedRank {
  std::vector<TracedSpan> spans;
  uint64_t dropped = 0;
};
using Trace = std::map<int64_t, TracedRank>;

// Time of a rank by what it did; `hidden` is the part of `reduce` that lies inside another rank's compute.
struct RankTimes {
  double span_us = 0, compute_us = 0, wait_us = 0, reduce_us = 0, tail_us = 0, copy_us = 0, hidden_us = 0;
  int64_t published_bytes = 0;
  uint64_t spans = 0, dropped = 0;
};

// Reads a trace that anyone may have written. Every B must have its E, on the same thread and in the order of nesting.
Expected<Trace> parse_trace(std::string_view text, std::string_view what);
std::map<int64_t, RankTimes> times_of(const Trace& trace);
// Of all ranks together, percent; 100 where nothing was reduced.
double hidden_percent(const std::map<int64_t, RankTimes>& ranks);

}  // namespace tandem::tool
