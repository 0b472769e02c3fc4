// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tandem/comm/communicator.h"

namespace tandem::test {

// What a rank process says, in memory it shares with the test.
struct RankReport {
  enum Stage : int { starting, connected, ended };
  std::atomic<int> stage;
  bool ok;  // no error
  ErrorCode code;
  int64_t noticed_ns;   // when the error was returned
  int64_t steps;        // matches of its fault
  int descriptors;      // more than before connect()
  int regions;          // windows still mapped
  int connected_ranks;  // of the last communicator it was in
  char text[600];
};

// Rank processes forked from a small parent: no exec, so a thousand jobs take seconds.
class ForkedJob {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;
  // Runs in the rank process. Whatever it returns is reported, then everything is destroyed and counted.
  using Body = std::function<Status(Communicator&)>;

  ForkedJob(int size, const Body& body, const std::function<Environment(int rank)>& environment,
            size_t window_bytes = 64 * 1024);
  ~ForkedJob();
  ForkedJob(const ForkedJob&) = delete;
  ForkedJob& operator=(const ForkedJob&) = delete;

  int size() const { return static_cast<int>(pids_.size()); }
  pid_t pid(int rank) const { return pids_[static_cast<size_t>(rank)]; }
  const RankReport& report(int rank) const;
  // Whether all ranks are connected within 20 s.
  bool await_connected() const;
  // Sends a signal and notes the time.
  void signal(int rank, int number);
  // Waits until all but `except` ended; whether they did by themselves. The rest is killed by the destructor.
  bool finish(double seconds, int except = -1);
  // Waits for the end of one rank.
  void reap(int rank);
  bool signaled(int rank) const;
  int64_t fault_ns() const;

 private:
  struct Shared;
  [[noreturn]] void run_rank(int rank, const Body& body, const Environment& environment, size_t window_bytes);

  Shared* shared_;
  std::string address_;
  std::vector<pid_t> pids_;
  std::vector<int> statuses_;  // -1 while it runs
};

// Two processes that never sleep, for as long as it lives.
class BusyCores {
 public:
  BusyCores();
  ~BusyCores();
  BusyCores(const BusyCores&) = delete;
  BusyCores& operator=(const BusyCores&) = delete;

 private:
  std::vector<pid_t> pids_;
};

// Of this process.
int open_descriptors();
int mapped_windows();
// Children that were not waited for.
bool has_children();

}  // namespace tandem::test
