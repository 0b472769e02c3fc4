// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

#include "tandem/comm/communicator.h"
#include "tandem/comm/segment.h"

namespace tandem {

inline constexpr uint32_t kFlightEntries = 2000;
inline constexpr char kFlightMagic[8] = {'T', 'A', 'N', 'D', 'E', 'M', 'F', 'L'};

// One operator of one rank.
struct FlightEntry {
  Fingerprint call;
  uint32_t sequence = 0;  // number of the operator; messages carry that of the operator before them
  int64_t began_ns = 0;   // CLOCK_MONOTONIC_COARSE
  int64_t ended_ns = 0;   // 0 while it runs, and for ever if it failed
};

// The last operators of one rank, in memory of its process alone. Whoever may read that memory (`tandem inspect`)
// finds it by ProgressLine::recorder of the rank's segment and checks everything it reads.
struct FlightLog {
  char magic[8];
  uint32_t entries;  // kFlightEntries
  uint32_t rank, size;
  int32_t pids[kMaxRanks];       // 0 = a thread of the same process
  uint64_t segments[kMaxRanks];  // where this process maps them
  char name[128];
  std::atomic<uint64_t> begun;  // operators so far; number i lies at i % entries
  FlightEntry ring[kFlightEntries];
};

// Writes the log: no locks, no system calls.
class FlightRecorder {
 public:
  // Without memory there is no log, which is no error.
  // The segments outlive it, or close() is called.
  void open(int rank, std::string_view name, std::span<const int> pids, std::span<Segment* const> segments);
  void begin(const Fingerprint& call, uint32_t sequence);
  void end();
  void close();

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<FlightLog, Free> log_;
  Segment* own_ = nullptr;
};

}  // namespace tandem
