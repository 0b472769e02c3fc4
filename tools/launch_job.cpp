// SPDX-License-Identifier: Apache-2.0
#include "tools/launch_job.h"

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

constexpr double kTermSeconds = 2;    // from SIGTERM to SIGKILL
constexpr double kOrderSeconds = 30;  // for another host's launcher to take its order
constexpr double kDrainSeconds = 1;   // for output, should somebody still hold a pipe open
constexpr std::array kForwarded = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};

bool ends_the_job(int signal) { return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT; }

}  // namespace

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

namespace {

// As far as it is taken in time.
void send_order(int pipe, std::string_view text) {
  const Deadline end = Deadline::after_seconds(kOrderSeconds);
  while (!text.empty() && !end.passed()) {
    const ssize_t written = ::write(pipe, text.data(), text.size());
    if (written > 0) text.remove_prefix(static_cast<size_t>(written));
    if (written < 0 && errno != EINTR && errno != EAGAIN) return;
    pollfd wait{pipe, POLLOUT, 0};
    if (written < 0) ::poll(&wait, 1, 100);
  }
}

}  // namespace

LaunchedJob::LaunchedJob(double grace_s) : grace_s_(grace_s) {}

LaunchedJob::~LaunchedJob() {
  kill_left();
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

Status LaunchedJob::start(const SpawnPlan& plan) {
  auto made = SpawnedRank::start(plan, before_);
  if (!made) return fail(made.error());
  ranks_.push_back(std::move(*made));
  return {};
}

Status LaunchedJob::start_far(SpawnPlan plan, const std::string& order) {
  auto pipe = make_pipe();
  if (!pipe) return fail(pipe.error());
  ::fcntl(pipe->reading.get(), F_SETFL, 0);
  plan.input = pipe->reading.get();
  if (Status s = start(plan); !s) return s;
  pipe->reading.reset();
  ::fcntl(pipe->writing.get(), F_SETFL, O_NONBLOCK);
  send_order(pipe->writing.get(), order + "\n");  // one that cannot be reached says so itself
  orders_.push_back(std::move(pipe->writing));
  return {};
}

void LaunchedJob::obey(int input) {
  input_ = input;
  ::fcntl(input, F_SETFL, O_NONBLOCK);
}

bool LaunchedJob::any_alive() const {
  return std::ranges::any_of(ranks_, [](const auto& rank) { return rank->alive(); });
}

// Launchers of other hosts hear of a signal by their order; SIGTERM as the end of it, SIGKILL by the loss of the line.
void LaunchedJob::signal_all(int signal) {
  const bool near = orders_.empty() || signal == SIGKILL;
  for (const auto& rank : ranks_) {
    if (near) rank->signal(signal);
  }
  for (const OwnedDescriptor& order : orders_) write_all(order.get(), fmt::format("signal {}\n", signal));
}

void LaunchedJob::begin(Stage stage, double seconds) {
  stage_ = stage;
  deadline_ = Deadline::after_seconds(std::max(seconds, 1e-3));  // 0 would be never
}

void LaunchedJob::pass_on(int signal) {
  const bool again = ends_the_job(signal) && stopped_by_ != 0;
  signal_all(again ? SIGKILL : signal);
  if (signal == SIGTSTP && input_ < 0) ::raise(SIGSTOP);  // who takes orders must hear the next
  if (!ends_the_job(signal) || again) return;
  stopped_by_ = signal;
  if (stage_ == Stage::running) begin(Stage::grace, grace_s_);
}

void LaunchedJob::read_signals() {
  signalfd_siginfo info{};
  while (::read(signal_fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) continue;
    pass_on(static_cast<int>(info.ssi_signo));
  }
}

// "signal N" a line; the end of them is the end of the job: whoever gave it is gone.
void LaunchedJob::read_orders() {
  std::array<char, 256> buffer;
  while (input_ >= 0) {
    const ssize_t got = ::read(input_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      input_ = -1;
      return pass_on(SIGTERM);
    }
    words_.append(buffer.data(), static_cast<size_t>(got));
    for (size_t end = words_.find('\n'); end != std::string::npos; end = words_.find('\n')) {
      int signal = 0;
      const bool known =
          std::sscanf(words_.c_str(), "signal %d", &signal) == 1 && std::ranges::count(kForwarded, signal) != 0;
      if (known) pass_on(signal);
      words_.erase(0, end + 1);
    }
    if (words_.size() > buffer.size()) words_.clear();
  }
}

void LaunchedJob::note_end(size_t rank, int wait_status) {
  const int code = ranks_[rank]->ended(wait_status);
  if (code == 0) return;
  report_line(ranks_[rank]->ending());
  if (first_failure_ >= 0) return;
  first_failure_ = code;
  if (stage_ == Stage::running) begin(Stage::grace, grace_s_);
}

// While a process is not yet reaped its number is nobody else's: the moment to kill what is left of its group.
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
  if (input_ >= 0) waits.push_back({input_, POLLIN, 0});
  ::poll(waits.data(), waits.size(), timeout_ms);
  for (const auto& rank : ranks_) rank->read_output();
  read_signals();
  read_orders();
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
  for (const auto& rank : ranks_) rank->flush();
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

int LaunchedJob::watch() {
  constexpr int kSliceMs = 100;
  while (any_alive()) look_once(kSliceMs);
  kill_left();
  drain();
  return exit_code();
}

}  // namespace tandem::tool
