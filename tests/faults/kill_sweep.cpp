// SPDX-License-Identifier: Apache-2.0
#include "kill_sweep.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <random>

#include "forked_job.h"
#include "operators.h"
#include "tests/ranks/launch.h"

namespace tandem::test {
namespace {

#ifdef TANDEM_SANITIZED
constexpr double kSlower = 10;
#else
constexpr double kSlower = 1;
#endif
constexpr double kMedianMs = 100, kWorstMs = 250;
constexpr double kStepsSeconds = 20 * kSlower;

std::string text_of(const KillPoint& p) {
  const std::string moment = p.step > 0 ? fmt::format("at step {}", p.step) : fmt::format("after {} us", p.wait_us);
  return fmt::format("{} of {} ranks, rank {} killed {}", p.op, p.size, p.rank, moment);
}

// Rounds without end: survivors leave with the error.
Status run_for_ever(const std::string& op, Communicator& comm) {
  const auto round = make_round(op, comm);
  Status status;
  while (status) status = round();
  return status;
}

ForkedJob::Environment fault_of(const KillPoint& p) {
  if (p.step == 0) return {};
  return {{"TANDEM_FAULT", fmt::format("kill:rank={},step={}", p.rank, p.step)}};
}

void note(KillStatistics& s, size_t& counter, const KillPoint& p, const std::string& what) {
  ++counter;
  if (s.first_fault.empty()) s.first_fault = text_of(p) + ": " + what;
}

void judge_survivor(KillStatistics& s, const KillPoint& p, const ForkedJob& job, int rank) {
  const RankReport& report = job.report(rank);
  const std::string named = fmt::format("rank {} (process {}) died", p.rank, job.pid(p.rank));
  if (report.ok || report.code != ErrorCode::peer_lost || std::string(report.text).find(named) == std::string::npos) {
    note(s, s.unnamed, p, fmt::format("rank {} says '{}', '{}' wanted", rank, report.text, named));
  }
  if (report.descriptors != 0 || report.regions != 0) {
    note(s, s.leftovers, p,
         fmt::format("rank {}: {} descriptors, {} windows", rank, report.descriptors, report.regions));
  }
  s.notice_ms.push_back(static_cast<double>(report.noticed_ns - job.fault_ns()) * 1e-6);
}

void run_point(KillStatistics& s, const KillPoint& p, double hang_seconds) {
  ++s.points;
  const auto environment = [&](int) { return fault_of(p); };
  ForkedJob job(
      p.size, [&](Communicator& comm) { return run_for_ever(p.op, comm); }, environment);
  if (p.step == 0) {
    if (!job.await_connected()) return note(s, s.hangs, p, "not connected within 20 s");
    usleep(static_cast<useconds_t>(p.wait_us));
    job.signal(p.rank, SIGKILL);
  }
  if (!job.finish(hang_seconds)) return note(s, s.hangs, p, "did not end");
  if (!job.signaled(p.rank)) return note(s, s.unnamed, p, "the rank was not killed");
  for (int rank = 0; rank < p.size; ++rank) {
    if (rank != p.rank) judge_survivor(s, p, job, rank);
  }
}

}  // namespace

std::vector<int64_t> steps_of(const std::string& op, int size) {
  const auto never = [](int rank) -> ForkedJob::Environment {
    return {{"TANDEM_FAULT", fmt::format("kill:rank={},step=1000000", rank)}};
  };
  const auto two_rounds = [&](Communicator& comm) -> Status {
    const auto round = make_round(op, comm);
    if (Status status = round(); !status) return status;
    return round();
  };
  ForkedJob job(size, two_rounds, never);
  EXPECT_TRUE(job.finish(kStepsSeconds)) << op;
  std::vector<int64_t> steps;
  for (int rank = 0; rank < size; ++rank) {
    EXPECT_TRUE(job.report(rank).ok) << op << ": " << job.report(rank).text;
    steps.push_back(job.report(rank).steps);
  }
  return steps;
}

std::vector<KillPoint> all_steps() {
  std::vector<KillPoint> points;
  for (const std::string& op : operator_names()) {
    for (int size = 2; size <= 5; ++size) {
      const auto steps = steps_of(op, size);
      for (int rank = 0; rank < size; ++rank) {
        for (int64_t step = 1; step <= steps[static_cast<size_t>(rank)]; ++step)
          points.push_back({op, size, rank, step});
      }
    }
  }
  return points;
}

std::vector<KillPoint> random_times(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  const auto names = operator_names();
  const auto below = [&](size_t limit) { return static_cast<int>(random() % limit); };
  std::vector<KillPoint> points;
  for (size_t i = 0; i < count; ++i) {
    const int size = 2 + below(4);
    points.push_back({names[i % names.size()], size, below(static_cast<size_t>(size)), 0, below(10'000)});
  }
  return points;
}

double KillStatistics::median() const {
  if (notice_ms.empty()) return 0;
  std::vector<double> sorted = notice_ms;
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2];
}

double KillStatistics::worst() const {
  return notice_ms.empty() ? 0 : *std::max_element(notice_ms.begin(), notice_ms.end());
}

std::string KillStatistics::text() const {
  return fmt::format(
      "{} kills, {} survivors: {} hangs, {} without the name, {} with leftovers; notice median {:.2f} ms, "
      "worst {:.2f} ms, two other processes busy on two cores\n",
      points, notice_ms.size(), hangs, unnamed, leftovers, median(), worst());
}

KillStatistics run_points(const std::vector<KillPoint>& points, double hang_seconds) {
  KillStatistics statistics;
  const auto names = shared_memory_names();
  const int descriptors = open_descriptors();
  {
    const BusyCores busy;
    for (const KillPoint& point : points) run_point(statistics, point, hang_seconds * kSlower);
  }
  if (shared_memory_names() != names || open_descriptors() != descriptors || mapped_windows() != 0 || has_children()) {
    note(statistics, statistics.leftovers, points.back(), "/dev/shm, descriptors, mappings or processes of the test");
  }
  return statistics;
}

void expect_all_named(const KillStatistics& statistics) {
  EXPECT_EQ(statistics.hangs + statistics.unnamed + statistics.leftovers, 0u) << statistics.first_fault;
  EXPECT_LT(statistics.median(), kMedianMs * kSlower);
  EXPECT_LT(statistics.worst(), kWorstMs * kSlower);
}

}  // namespace tandem::test
