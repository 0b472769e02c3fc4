// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/flight.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

namespace tandem {
namespace {

static_assert(std::is_trivially_copyable_v<FlightEntry>);

// Some milliseconds coarse and five times cheaper than the exact clock.
int64_t coarse_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

void FlightRecorder::open(int rank, std::string_view name, std::span<const int> pids,
                          std::span<Segment* const> segments) {
  // Zero pages of the kernel: what was never written takes no memory.
  log_.reset(static_cast<FlightLog*>(std::calloc(1, sizeof(FlightLog))));
  if (log_ == nullptr) return;
  log_->entries = kFlightEntries;
  log_->rank = static_cast<uint32_t>(rank);
  log_->size = static_cast<uint32_t>(segments.size());
  for (size_t peer = 0; peer < segments.size(); ++peer) {
    log_->pids[peer] = peer < pids.size() ? pids[peer] : 0;
    log_->segments[peer] = reinterpret_cast<uint64_t>(segments[peer]);
  }
  const bool processes = std::any_of(pids.begin(), pids.end(), [](int pid) { return pid != 0; });
  if (processes) log_->pids[rank] = getpid();
  std::memcpy(log_->name, name.data(), std::min(name.size(), sizeof log_->name - 1));
  std::memcpy(log_->magic, kFlightMagic, sizeof kFlightMagic);
  own_ = segments[static_cast<size_t>(rank)];
  own_->progress.recorder.store(reinterpret_cast<uint64_t>(log_.get()), std::memory_order_release);
}

void FlightRecorder::begin(const Fingerprint& call, uint32_t sequence) {
  if (log_ == nullptr) return;
  const uint64_t number = log_->begun.load(std::memory_order_relaxed);
  log_->ring[number % kFlightEntries] = {call, sequence, coarse_ns(), 0};
  log_->begun.store(number + 1, std::memory_order_release);
}

void FlightRecorder::end() {
  if (log_ == nullptr) return;
  const uint64_t number = log_->begun.load(std::memory_order_relaxed);
  if (number > 0) log_->ring[(number - 1) % kFlightEntries].ended_ns = coarse_ns();
}

void FlightRecorder::close() {
  if (log_ != nullptr) own_->progress.recorder.store(0, std::memory_order_release);
  log_.reset();
}

}  // namespace tandem
