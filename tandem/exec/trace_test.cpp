// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/trace.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tandem/exec/trace_ring.h"

namespace tandem {
namespace {

using nlohmann::json;

TraceRecord record(int rank, int thread, int64_t begin, int64_t end) {
  TraceRecord r;
  r.begin_ns = begin, r.end_ns = end, r.rank = rank, r.thread = thread;
  return r;
}

json parsed(const std::string& lines) {
  return json::parse(trace_header("r") + lines + std::string(trace_footer())).at("traceEvents");
}

// B and E of every thread match like brackets and never go back in time.
void expect_brackets(const json& events) {
  std::map<std::pair<int, int>, std::pair<int, double>> lanes;
  for (const json& event : events) {
    if (event.at("ph") == "M") continue;
    auto& [depth, last] = lanes[{event.at("pid"), event.at("tid")}];
    depth += event.at("ph") == "B" ? 1 : -1;
    EXPECT_GE(depth, 0);
    EXPECT_GE(event.at("ts").get<double>(), last);
    last = event.at("ts");
  }
  for (const auto& [key, lane] : lanes) EXPECT_EQ(lane.first, 0);
}

TEST(TraceLines, NestSpansOfAThread) {
  // Recorded at their ends; one begins where another ends, one has no length.
  const json events = parsed(trace_lines({record(0, 1, 20, 30), record(0, 1, 30, 40), record(0, 1, 25, 25),
                                          record(0, 1, 10, 50), record(1, 1, 15, 45), record(0, 2, 5, 60)},
                                         0));
  expect_brackets(events);
  EXPECT_EQ(std::ranges::count_if(events, [](const json& e) { return e.at("ph") == "B"; }), 6);
}

TEST(TraceLines, ClocksAreCorrected) {
  const json events = parsed(trace_lines({record(3, 1, 1500, 2500)}, 1'000'000));
  EXPECT_DOUBLE_EQ(events.at(1).at("ts").get<double>(), 1001.5);
  EXPECT_EQ(events.at(1).at("pid"), 3);
}

TEST(TraceRing, KeepsTheNewestAndCountsTheRest) {
  TraceRing ring;
  const auto most = static_cast<int64_t>(TraceRing::kMost);
  for (int64_t i = 0; i < most + 5; ++i) ring.add(record(0, 0, i, i + 1));
  uint64_t dropped = 0;
  const auto records = ring.take(dropped);
  EXPECT_EQ(dropped, 5u);
  ASSERT_EQ(records.size(), TraceRing::kMost);
  const auto oldest = std::ranges::min_element(records, {}, &TraceRecord::begin_ns);
  EXPECT_EQ(oldest->begin_ns, 5);
  EXPECT_TRUE(ring.take(dropped).empty());
}

TEST(TraceFile, OnlyOfTheSameRunIsContinued) {
  const std::string mine = trace_header("mine"), file = mine + "x\n" + std::string(trace_footer());
  EXPECT_EQ(trace_body(file, mine), "x\n");
  EXPECT_EQ(trace_body(file, trace_header("other")), "");
  EXPECT_EQ(trace_body(mine, mine), "");
  EXPECT_EQ(trace_body("", mine), "");
  EXPECT_EQ(trace_body(std::string(trace_footer()), mine), "");
  EXPECT_TRUE(is_trace(file));
  EXPECT_FALSE(is_trace("{}"));
}

TEST(Trace, OfTwoThreadsIsWrittenWholeAndMerged) {
  const auto folder = std::filesystem::temp_directory_path() / ("trace-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const std::string path = (folder / "run.json").string();
  EXPECT_FALSE(tracing());
  { const TraceSpan unseen(TraceKind::compute, "before", 0); }
  trace_to(path);
  ASSERT_TRUE(tracing());
  const auto work = [](int rank) {
    const TraceSpan whole(TraceKind::operation, "a name that is longer than there is room for", rank);
    for (int i = 0; i < 10; ++i) const TraceSpan part(TraceKind::reduce, "\"part\\", -1, i, 64);
  };
  std::thread first(work, 0), second(work, 1);
  first.join();
  second.join();
  ASSERT_TRUE(finish_trace());
  { const TraceSpan later(TraceKind::tail, "later", 1); }
  ASSERT_TRUE(finish_trace());
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  const json events = json::parse(text.str()).at("traceEvents");
  expect_brackets(events);
  EXPECT_EQ(std::ranges::count_if(events, [](const json& e) { return e.at("ph") == "B"; }), 23);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);  // nothing beside the file
  std::filesystem::remove_all(folder);
  EXPECT_FALSE(finish_trace());  // the folder is gone, and that is said
}

}  // namespace
}  // namespace tandem
