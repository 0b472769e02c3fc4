// SPDX-License-Identifier: Apache-2.0
#include "bench/collective/calibrate.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "bench/collective/buffers.h"
#include "tandem/comm/collectives.h"
#include "tandem/exec/wait.h"
#include "tandem/kernels/table.h"

namespace tandem::bench {
namespace {

using nlohmann::json;

constexpr size_t kChunk = 128 * 1024;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// Hand-overs of one operator, so that nothing but the waits is timed.
class Steps {
 public:
  Steps(Communicator& comm, int64_t round) : comm_(comm) {
    const char name[] = "calibrate";
    std::memcpy(call_.operation, name, sizeof name);
    call_.count = round;
  }
  Status begin() {
    const auto begun = comm_.begin(call_);
    return begun ? Status{} : fail(begun.error());
  }
  Status next() {
    ++step_;
    comm_.arrive(Signal::ready, comm_.base() + step_);
    return comm_.await_all(Signal::ready, comm_.base() + step_, "calibrating");
  }
  void end() {
    for (const Signal signal : {Signal::done, Signal::free}) comm_.arrive(signal, comm_.base() + step_);
    comm_.advance(step_);
    comm_.end();
  }

 private:
  Communicator& comm_;
  Fingerprint call_;
  uint32_t step_ = 0;
};

Expected<double> seconds_of_wait(Communicator& comm, int64_t round) {
  constexpr int kSteps = 2000;
  Steps steps(comm, round);
  if (Status s = steps.begin(); !s) return fail(s.error());
  const int64_t start = monotonic_ns();
  for (int i = 0; i < kSteps; ++i) {
    if (Status s = steps.next(); !s) return fail(s.error());
  }
  const double spent = static_cast<double>(monotonic_ns() - start) * 1e-9;
  steps.end();
  return spent / kSteps;
}

Expected<double> seconds_of_barrier(Communicator& comm, Lane& lane) {
  constexpr int kCalls = 1000;
  const int64_t start = monotonic_ns();
  for (int i = 0; i < kCalls; ++i) {
    if (Status s = barrier(comm, lane); !s) return fail(s.error());
  }
  return static_cast<double>(monotonic_ns() - start) * 1e-9 / kCalls;
}

struct Costs {
  double put = 0, take = 0;  // seconds so far
};

// A peer's chunk added to this rank's, as collectives do.
void combine(const std::byte* own, const std::byte* theirs, std::byte* out, size_t bytes, Lane& lane) {
  const void* inputs[] = {own, theirs};
  default_table().reduce.combine(
      {static_cast<int64_t>(bytes / sizeof(float)), 2, inputs, DType::f32, Combine::sum, out}, lane);
}

// One pass over buffers of `bytes`, chunk by chunk as collectives do.
Status pass(Communicator& comm, Lane& lane, std::byte* in, std::byte* out, size_t bytes, bool combines, Costs& costs) {
  Steps steps(comm, static_cast<int64_t>(bytes));
  if (Status s = steps.begin(); !s) return s;
  const int peer = (comm.rank() + 1) % comm.size();
  const size_t chunk = std::min({bytes, kChunk, comm.window_bytes()});
  const auto timed = [](double& sum, const auto& work) {
    const int64_t start = monotonic_ns();
    work();
    sum += static_cast<double>(monotonic_ns() - start) * 1e-9;
  };
  for (size_t at = 0; at + chunk <= bytes; at += chunk) {
    timed(costs.put, [&] { std::memcpy(comm.window(comm.rank()), in + at, chunk); });
    if (Status s = steps.next(); !s) return s;
    const std::byte* theirs = comm.window(peer);
    timed(costs.take, [&] {
      combines ? combine(in + at, theirs, out + at, chunk, lane) : (void)std::memcpy(out + at, theirs, chunk);
    });
    if (Status s = steps.next(); !s) return s;
  }
  steps.end();
  return {};
}

}  // namespace

Expected<json> calibrate(Communicator& comm, Lane& lane) {
  std::vector<double> waits, barriers;
  for (int round = 0; round < 9; ++round) {
    const auto wait = seconds_of_wait(comm, round);
    if (!wait) return fail(wait.error());
    const auto whole = seconds_of_barrier(comm, lane);
    if (!whole) return fail(whole.error());
    waits.push_back(*wait);
    barriers.push_back(*whole);
  }
  json result = {
      {"ranks", comm.size()},      {"wait", median(waits)}, {"call", std::max(0.0, median(barriers) - median(waits))},
      {"look", median(waits) / 2}, {"put", json::array()},  {"get", json::array()},
      {"combine", json::array()}};
  constexpr size_t kSizes[] = {4 << 10, 64 << 10, 512 << 10, 4 << 20, 32 << 20};
  for (const size_t bytes : kSizes) {
    auto in = Buffer::allocate(bytes, false), out = Buffer::allocate(bytes, false);
    if (!in) return fail(in.error());
    if (!out) return fail(out.error());
    std::vector<double> puts, gets, combines;
    const int passes = static_cast<int>(std::clamp<size_t>((16 << 20) / bytes, 3, 200));
    for (int i = 0; i < 2 * passes; ++i) {
      Costs costs;
      if (Status s = pass(comm, lane, in->data(), out->data(), bytes, i % 2 == 1, costs); !s) return fail(s.error());
      puts.push_back(costs.put / static_cast<double>(bytes));
      (i % 2 == 1 ? combines : gets).push_back(costs.take / static_cast<double>(bytes) / (i % 2 == 1 ? 2 : 1));
    }
    result["put"].push_back({bytes, median(puts)});
    result["get"].push_back({bytes, median(gets)});
    result["combine"].push_back({bytes, median(combines)});
  }
  return result;
}

}  // namespace tandem::bench
