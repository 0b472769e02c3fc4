// SPDX-License-Identifier: Apache-2.0
#include "tools/launch_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>

#include "tandem/base/env.h"
#include "tandem/base/status.h"
#include "tandem/exec/wait.h"
#include "tools/report.h"
#include "tools/spawned.h"

namespace tandem::tool {
namespace {

constexpr double kTermSeconds = 2;   // from SIGTERM to SIGKILL
constexpr double kDrainSeconds = 1;  // for output, should somebody still hold a pipe open
constexpr std::array kForwarded = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};

bool ends_the_job(int signal) { return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT; }

class LaunchedJob {
 public:
  explicit LaunchedJob(const LaunchFlags& flags) : flags_(flags) {}
  ~LaunchedJob() {
    kill_left();
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  LaunchedJob(const LaunchedJob&) = delete;
  LaunchedJob& operator=(const LaunchedJob&) = delete;

  int run();

 private:
  enum class Stage { running, grace, terminated, killed };

  Status prepare();
  Status start_all();
  void look_once(int timeout_ms);
  void read_signals();
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

  const LaunchFlags& flags_;
  sigset_t signals_{};
  sigset_t before_{};
  OwnedDescriptor signal_fd_;
  std::vector<std::unique_ptr<SpawnedRank>> ranks_;
  Stage stage_ = Stage::running;
  Deadline deadline_ = Deadline::never();
  int first_failure_ = -1;  // exit code
  int stopped_by_ = 0;      // signal that ended the job from outside
};

// Orphans of the ranks become our children, so that kill_left() finds them.
Status LaunchedJob::prepare() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGCHLD);
  for (const int signal : kForwarded) sigaddset(&signals_, signal);
  ::sigprocmask(SIG_BLOCK, &signals_, &before_);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal_fd_ = OwnedDescriptor(::signalfd(-1, &signals_, SFD_CLOEXEC | SFD_NONBLOCK));
  if (signal_fd_.get() >= 0) return {};
  return fail(ErrorCode::io, fmt::format("signalfd: {}", std::strerror(errno)));
}

Expected<std::string> job_name() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail(ErrorCode::io, fmt::format("getrandom: {}", std::strerror(errno)));
  }
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

Status LaunchedJob::start_all() {
  const auto job = job_name();
  const auto port = free_port();
  if (!job) return fail(job.error());
  for (int rank = 0; rank < flags_.ranks; ++rank) {
    const std::vector<EnvSetting> settings = {{"RANK", std::to_string(rank)},
                                              {"WORLD_SIZE", std::to_string(flags_.ranks)},
                                              {"LOCAL_RANK", std::to_string(rank)},
                                              {"LOCAL_WORLD_SIZE", std::to_string(flags_.ranks)},
                                              {"MASTER_ADDR", "127.0.0.1"},
                                              {"MASTER_PORT", std::to_string(port)},
                                              {"TANDEM_JOB", *job}};
    auto made = SpawnedRank::start(rank, flags_.program, env_for_child(settings), before_);
    if (!made) return fail(made.error());
    ranks_.push_back(std::move(*made));
  }
  return {};
}

bool LaunchedJob::any_alive() const {
  return std::ranges::any_of(ranks_, [](const auto& rank) { return rank->alive(); });
}

void LaunchedJob::signal_all(int signal) {
  for (const auto& rank : ranks_) rank->signal(signal);
}

void LaunchedJob::begin(Stage stage, double seconds) {
  stage_ = stage;
  deadline_ = Deadline::after_seconds(std::max(seconds, 1e-3));  // 0 would be never
}

void LaunchedJob::pass_on(int signal) {
  const bool again = ends_the_job(signal) && stopped_by_ != 0;
  signal_all(again ? SIGKILL : signal);
  if (signal == SIGTSTP) ::raise(SIGSTOP);
  if (!ends_the_job(signal) || again) return;
  stopped_by_ = signal;
  if (stage_ == Stage::running) begin(Stage::grace, flags_.grace_s);
}

void LaunchedJob::read_signals() {
  signalfd_siginfo info{};
  while (::read(signal_fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) continue;
    pass_on(static_cast<int>(info.ssi_signo));
  }
}

void LaunchedJob::note_end(size_t rank, int wait_status) {
  const int code = ranks_[rank]->ended(wait_status);
  if (code == 0) return;
  report_line(ranks_[rank]->ending());
  if (first_failure_ >= 0) return;
  first_failure_ = code;
  if (stage_ == Stage::running) begin(Stage::grace, flags_.grace_s);
}

// While a rank is not yet reaped its number is nobody else's: the moment to kill what is left of its group.
void LaunchedJob::reap() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    const pid_t pid = info.si_pid;
    const auto found = std::ranges::find(ranks_, pid, [](const auto& rank) { return rank->pid(); });
    if (found != ranks_.end()) (*found)->signal(SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (found != ranks_.end()) note_end(static_cast<size_t>(found - ranks_.begin()), status);
    info = {};
  }
}

void LaunchedJob::escalate() {
  if (!deadline_.passed()) return;
  if (stage_ == Stage::grace) {
    signal_all(SIGTERM);
    signal_all(SIGCONT);  // a stopped rank could not see it
    begin(Stage::terminated, kTermSeconds);
  } else if (stage_ == Stage::terminated) {
    signal_all(SIGKILL);
    begin(Stage::killed, kTermSeconds);
  }
}

void LaunchedJob::look_once(int timeout_ms) {
  std::vector<pollfd> waits{{signal_fd_.get(), POLLIN, 0}};
  for (const auto& rank : ranks_) rank->add_to(waits);
  ::poll(waits.data(), waits.size(), timeout_ms);
  for (const auto& rank : ranks_) rank->read_output(flags_.prefix);
  read_signals();
  reap();
  escalate();
  // Nobody reads the output any more, as behind `| head`: the job has no use.
  if (output_failed() && stage_ == Stage::running) {
    first_failure_ = 128 + SIGPIPE;
    begin(Stage::grace, 0);
  }
}

// What is still in the pipes.
void LaunchedJob::drain() {
  const Deadline end = Deadline::after_seconds(kDrainSeconds);
  const auto open = [](const auto& rank) { return rank->open(); };
  while (std::ranges::any_of(ranks_, open) && !end.passed()) look_once(20);
  for (const auto& rank : ranks_) rank->flush(flags_.prefix);
}

// Kills ranks that still run, then what left their groups and became our child since.
void LaunchedJob::kill_left() {
  signal_all(SIGKILL);
  for (int round = 0; round < 100; ++round) {
    const std::vector<pid_t> left = own_children();
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (left.empty()) break;
    ::usleep(1'000);
  }
}

int LaunchedJob::exit_code() const {
  if (stopped_by_ != 0) return 128 + stopped_by_;
  return std::max(first_failure_, 0);
}

int LaunchedJob::run() {
  if (Status s = prepare(); !s) return report_failure("launch: " + s.error().message, false);
  if (Status s = start_all(); !s) {
    signal_all(SIGKILL);
    return report_failure("launch: " + s.error().message, false);
  }
  constexpr int kSliceMs = 100;
  while (any_alive()) look_once(kSliceMs);
  kill_left();
  drain();
  return exit_code();
}

}  // namespace

int launch_program(const LaunchFlags& flags) { return LaunchedJob(flags).run(); }

}  // namespace tandem::tool
