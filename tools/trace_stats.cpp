// SPDX-License-Identifier: Apache-2.0
#include "tools/trace_stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "tandem/base/json.h"

namespace tandem::tool {
namespace {

using nlohmann::json;

constexpr int64_t kMostRank = 1 << 20, kMostThread = INT64_MAX / 2;
constexpr double kMostUs = 1e15;

using Intervals = std::vector<std::pair<double, double>>;

// Sorted, without overlap.
Intervals merged(Intervals intervals) {
  std::sort(intervals.begin(), intervals.end());
  Intervals result;
  for (const auto& [begin, end] : intervals) {
    if (!result.empty() && begin <= result.back().second) {
      result.back().second = std::max(result.back().second, end);
    } else {
      result.emplace_back(begin, end);
    }
  }
  return result;
}

Intervals of_category(const TracedRank& rank, std::string_view category) {
  Intervals intervals;
  for (const TracedSpan& span : rank.spans) {
    if (span.category == category) intervals.emplace_back(span.begin_us, span.end_us);
  }
  return merged(std::move(intervals));
}

double length(const Intervals& intervals) {
  double sum = 0;
  for (const auto& [begin, end] : intervals) sum += end - begin;
  return sum;
}

double common(const Intervals& a, const Intervals& b) {
  double sum = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    sum += std::max(0.0, std::min(a[i].second, b[j].second) - std::max(a[i].first, b[j].first));
    a[i].second < b[j].second ? ++i : ++j;
  }
  return sum;
}

class Reader {
 public:
  explicit Reader(std::string_view what) : what_(what) {}

  Status read(const json& event) {
    const size_t index = count_++;
    if (!event.is_object()) return wrong(index, "is no object");
    JsonFields fields(event, fmt::format("{}: event {}", what_, index));
    const std::string phase = fields.text("ph");
    const int64_t rank = fields.integer("pid", 0, kMostRank), thread = fields.integer("tid", 0, kMostThread);
    if (auto s = fields.status(); !s) return s;
    if (phase == "M") return metadata(event, fields, rank);
    if (phase != "B" && phase != "E") return wrong(index, "has another ph than B, E and M");
    const double at = fields.number("ts", 0, kMostUs);
    if (auto s = fields.status(); !s) return s;
    Lane& lane = lanes_[{rank, thread}];
    if (at < lane.last_us) return wrong(index, "lies before the one before it on its thread");
    lane.last_us = at;
    return phase == "B" ? begin(event, fields, lane, at) : end(index, rank, lane, at);
  }

  Expected<Trace> finish() {
    for (const auto& [key, lane] : lanes_) {
      if (lane.open.empty()) continue;
      return fail(ErrorCode::malformed, fmt::format("{}: rank {} thread {} has {} B without E", what_, key.first,
                                                    key.second, lane.open.size()));
    }
    return std::move(trace_);
  }

 private:
  struct Lane {
    std::vector<TracedSpan> open;
    double last_us = 0;
  };

  tl::unexpected<Error> wrong(size_t index, std::string_view text) const {
    return fail(ErrorCode::malformed, fmt::format("{}: event {} {}", what_, index, text));
  }

  Status metadata(const json& event, JsonFields& fields, int64_t rank) {
    if (fields.text("name", "") != "dropped") return fields.status();
    const json* args = fields.find("args");
    if (args == nullptr || !args->is_object()) return fail(ErrorCode::malformed, fmt::format("{}: args wanted", what_));
    JsonFields inner(*args, fmt::format("{}: args of {}", what_, event.value("name", "")));
    trace_[rank].dropped += static_cast<uint64_t>(inner.integer("count", 0, INT64_MAX / 2));
    return inner.status();
  }

  Status begin(const json&, JsonFields& fields, Lane& lane, double at) {
    TracedSpan span{fields.text("cat"), at, at, 0};
    if (const json* args = fields.find("args"); args != nullptr && args->is_object()) {
      JsonFields inner(*args, fmt::format("{}: args", what_));
      span.bytes = inner.integer("bytes", 0, INT64_MAX / 2, 0);
      if (auto s = inner.status(); !s) return s;
    }
    lane.open.push_back(std::move(span));
    return fields.status();
  }

  Status end(size_t index, int64_t rank, Lane& lane, double at) {
    if (lane.open.empty()) return wrong(index, "is an E without B");
    lane.open.back().end_us = at;
    trace_[rank].spans.push_back(std::move(lane.open.back()));
    lane.open.pop_back();
    return {};
  }

  std::string what_;
  size_t count_ = 0;
  std::map<std::pair<int64_t, int64_t>, Lane> lanes_;
  Trace trace_;
};

RankTimes times_of_rank(const TracedRank& rank, const Intervals& elsewhere) {
  RankTimes t;
  double first = kMostUs, last = 0;
  for (const TracedSpan& span : rank.spans) {
    first = std::min(first, span.begin_us);
    last = std::max(last, span.end_us);
    if (span.category == "publish") t.published_bytes += span.bytes;
  }
  const Intervals reduce = of_category(rank, "reduce");
  t.span_us = std::max(0.0, last - first);
  t.compute_us = length(of_category(rank, "compute"));
  t.wait_us = length(of_category(rank, "wait"));
  t.reduce_us = length(reduce);
  t.tail_us = length(of_category(rank, "tail"));
  t.copy_us = length(of_category(rank, "copy"));
  t.hidden_us = common(reduce, elsewhere);
  t.spans = rank.spans.size();
  t.dropped = rank.dropped;
  return t;
}

}  // namespace

Expected<Trace> parse_trace(std::string_view text, std::string_view what) {
  const auto whole = parse_json(text, what);
  if (!whole) return fail(whole.error());
  const bool listed = whole->is_object() && whole->contains("traceEvents") && (*whole)["traceEvents"].is_array();
  if (!listed) return fail(ErrorCode::malformed, fmt::format("{}: a list traceEvents wanted", what));
  Reader reader(what);
  for (const json& event : (*whole)["traceEvents"]) {
    if (auto s = reader.read(event); !s) return fail(s.error());
  }
  return reader.finish();
}

std::map<int64_t, RankTimes> times_of(const Trace& trace) {
  std::map<int64_t, Intervals> compute;
  for (const auto& [number, rank] : trace) compute[number] = of_category(rank, "compute");
  std::map<int64_t, RankTimes> result;
  for (const auto& [number, rank] : trace) {
    Intervals elsewhere;
    for (const auto& [other, intervals] : compute) {
      if (other != number) elsewhere.insert(elsewhere.end(), intervals.begin(), intervals.end());
    }
    result[number] = times_of_rank(rank, merged(std::move(elsewhere)));
  }
  return result;
}

double hidden_percent(const std::map<int64_t, RankTimes>& ranks) {
  double reduce = 0, hidden = 0;
  for (const auto& [number, rank] : ranks) {
    reduce += rank.reduce_us;
    hidden += rank.hidden_us;
  }
  return reduce > 0 ? 100 * hidden / reduce : 100;
}

}  // namespace tandem::tool
