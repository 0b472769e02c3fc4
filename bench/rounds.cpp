// SPDX-License-Identifier: Apache-2.0
// Google Benchmark times the visits: each is registered with a fixed number of iterations, and one pass over all
// registered is a round. Its own repetitions would finish A before B starts.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "bench/row.h"

namespace tandem::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Iterations of a visit of about min_time; the probe is a warm-up at the same time.
int64_t iterations_for(const std::function<void()>& run, double min_time) {
  run();
  int64_t count = 1;
  for (;;) {
    const auto start = Clock::now();
    for (int64_t i = 0; i < count; ++i) run();
    const double spent = seconds_since(start);
    if (spent > min_time / 4 || count > (int64_t{1} << 30)) {
      return std::max<int64_t>(1, std::llround(min_time / (spent / static_cast<double>(count))));
    }
    count *= 4;
  }
}

// Seconds of one iteration go to the slot whose number is the benchmark's name.
class Collector : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(std::vector<std::vector<double>*> slots) : slots_(std::move(slots)) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      const auto slot = static_cast<size_t>(std::stoul(run.run_name.function_name));
      slots_.at(slot)->push_back(run.real_accumulated_time / static_cast<double>(run.iterations));
    }
  }

 private:
  std::vector<std::vector<double>*> slots_;
};

void enlist(size_t slot, const std::function<void()>& run, double min_time, double pause) {
  const auto visit = [&run, pause](benchmark::State& state) {
    for (auto _ : state) run();
    if (pause > 0) std::this_thread::sleep_for(std::chrono::duration<double>(pause));
  };
  benchmark::RegisterBenchmark(std::to_string(slot).c_str(), visit)
      ->Iterations(iterations_for(run, min_time))
      ->UseRealTime();
}

void check(Contender& contender) {
  contender.run();
  contender.row.verdict = contender.verify();
}

void check_again(Contender& contender) {
  if (contender.unchanged()) return;
  contender.row.verdict.verified = false;
  contender.row.verdict.complaint = "the output changed between two calls on the same operands";
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double least(const std::vector<double>& values) {
  return values.empty() ? NAN : *std::min_element(values.begin(), values.end());
}

double median_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) ratios.push_back(a[i] / b[i]);
  return median(ratios);
}

void measure(Turns& turns, int rounds, double min_time) {
  std::vector<std::vector<double>*> slots;
  benchmark::ClearRegisteredBenchmarks();
  for (LimitTurn& limit : turns.limits) {
    enlist(slots.size(), limit.run, min_time, 0);
    slots.push_back(&limit.seconds);
  }
  for (Contender& contender : turns.contenders) {
    check(contender);
    if (!contender.row.verdict.verified) continue;
    enlist(slots.size(), contender.run, min_time, contender.pause);
    slots.push_back(&contender.row.seconds);
  }
  Collector collector(slots);
  for (int round = 0; round < rounds; ++round) benchmark::RunSpecifiedBenchmarks(&collector);
  benchmark::ClearRegisteredBenchmarks();
  for (Contender& contender : turns.contenders) {
    if (!contender.row.verdict.verified) continue;
    check_again(contender);
    for (const LimitTurn& limit : turns.limits) {
      for (const double seconds : limit.seconds) contender.row.limits[limit.name].push_back(limit.amount / seconds);
    }
  }
}

}  // namespace tandem::bench
