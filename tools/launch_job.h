// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/exec/wait.h"
#include "tools/spawned.h"

namespace tandem::tool {

// The processes of one launcher, from their start to the end of the last. Signals are passed on. When one fails, the
// others get the grace to tell what they saw, then SIGTERM, then SIGKILL; stderr says which ended how.
class LaunchedJob {
 public:
  explicit LaunchedJob(double grace_s);
  ~LaunchedJob();
  LaunchedJob(const LaunchedJob&) = delete;
  LaunchedJob& operator=(const LaunchedJob&) = delete;

  Status prepare();
  // A rank on this host.
  Status start(const SpawnPlan& plan);
  // The launcher of another host: reads its order, then signals, from its standard input.
  Status start_far(SpawnPlan plan, const std::string& order);
  // Signals come from this descriptor too, and its end ends the job.
  void obey(int input);
  // The exit code of the first that failed (128 + signal for a signal), 0 when none did. No process that was started
  // here, or that those started, is left.
  int watch();

 private:
  enum class Stage { running, grace, terminated, killed };

  void look_once(int timeout_ms);
  void read_signals();
  void read_orders();
  void pass_on(int signal);
  void reap();
  void note_end(size_t rank, int wait_status);
  void escalate();
  void drain();
  void kill_left();
  bool any_alive() const;
  void signal_all(int signal);
  void begin(Stage stage, double seconds);
  int exit_code() const;

  double grace_s_;
  sigset_t signals_{};
  sigset_t before_{};
  OwnedDescriptor signal_fd_;
  std::vector<std::unique_ptr<SpawnedRank>> ranks_;
  std::vector<OwnedDescriptor> orders_;  // to the launchers of other hosts
  int input_ = -1;
  std::string words_;  // of the input, not yet a line
  Stage stage_ = Stage::running;
  Deadline deadline_ = Deadline::never();
  int first_failure_ = -1;  // exit code
  int stopped_by_ = 0;      // signal that ended the job from outside
};

}  // namespace tandem::tool
