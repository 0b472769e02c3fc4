// SPDX-License-Identifier: Apache-2.0
#include "forked_job.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tandem/comm/fault.h"
#include "tandem/exec/device.h"
#include "tandem/exec/topology.h"
#include "tandem/exec/wait.h"

namespace tandem::test {
namespace {

constexpr size_t kMostRanks = 64;
constexpr int kCores = 2;

std::string new_address() {
  static int counter = 0;
  return "forked-job-" + std::to_string(getpid()) + "-" + std::to_string(++counter) + "-" +
         std::to_string(monotonic_ns());
}

pid_t fork_with_parent() {
  const pid_t parent = getpid();
  const pid_t made = fork();
  if (made < 0) std::abort();
  if (made == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
  }
  return made;
}

}  // namespace

struct ForkedJob::Shared {
  std::atomic<int64_t> fault_ns;
  RankReport ranks[kMostRanks];
};

int open_descriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

int mapped_windows() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("tandem-window") != std::string::npos ? 1 : 0;
  return count;
}

bool has_children() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

ForkedJob::ForkedJob(int size, const Body& body, const std::function<Environment(int)>& environment,
                     size_t window_bytes)
    : address_(new_address()), statuses_(static_cast<size_t>(size), -1) {
  topology();  // asked once here and not once a rank
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  shared_ = static_cast<Shared*>(memory);
  for (int rank = 0; rank < size; ++rank) {
    const Environment variables = environment(rank);
    const pid_t made = fork_with_parent();
    if (made == 0) {
      pids_.resize(static_cast<size_t>(size));
      run_rank(rank, body, variables, window_bytes);
    }
    pids_.push_back(made);
  }
}

void ForkedJob::run_rank(int rank, const Body& body, const Environment& environment, size_t window_bytes) {
  setenv("TANDEM_THREADS", "1", 1);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  RankReport& report = shared_->ranks[rank];
  watch_fault(&shared_->fault_ns);
  const int device = rank % 8;
  if (!Device::get(device)) _exit(3);
  const int before = open_descriptors();
  Status status;
  {
    auto made = Communicator::connect({rank, size(), "group", address_, device, 20}, window_bytes);
    if (made) {
      report.connected_ranks = (*made)->size();
      report.stage.store(RankReport::connected);
    }
    status = made ? body(**made) : Status(fail(made.error()));
    report.noticed_ns = monotonic_ns();
  }
  report.ok = status.has_value();
  if (!status) {
    report.code = status.error().code;
    std::strncpy(report.text, status.error().message.c_str(), sizeof report.text - 1);
  }
  report.steps = fault_matches();
  report.descriptors = open_descriptors() - before;
  report.regions = mapped_windows();
  report.stage.store(RankReport::ended);
  _exit(0);
}

ForkedJob::~ForkedJob() {
  for (size_t rank = 0; rank < pids_.size(); ++rank) {
    if (statuses_[rank] != -1) continue;
    kill(pids_[rank], SIGKILL);
    waitpid(pids_[rank], nullptr, 0);
  }
  munmap(shared_, sizeof(Shared));
}

const RankReport& ForkedJob::report(int rank) const { return shared_->ranks[rank]; }

void ForkedJob::reap(int rank) { waitpid(pid(rank), &statuses_[static_cast<size_t>(rank)], 0); }

int64_t ForkedJob::fault_ns() const { return shared_->fault_ns.load(); }

bool ForkedJob::signaled(int rank) const { return WIFSIGNALED(statuses_[static_cast<size_t>(rank)]); }

bool ForkedJob::await_connected() const {
  const Deadline deadline = Deadline::after_seconds(20);
  for (int rank = 0; rank < size();) {
    if (report(rank).stage.load() != RankReport::starting) {
      ++rank;
    } else if (deadline.passed()) {
      return false;
    } else {
      usleep(200);
    }
  }
  return true;
}

void ForkedJob::signal(int rank, int number) {
  shared_->fault_ns.store(monotonic_ns());
  kill(pid(rank), number);
}

bool ForkedJob::finish(double seconds, int except) {
  const Deadline deadline = Deadline::after_seconds(seconds);
  bool all = true;
  for (int rank = 0; rank < size(); ++rank) {
    if (rank == except) continue;
    const int64_t left = std::max<int64_t>(0, (deadline.at_ns - monotonic_ns()) / 1'000'000);
    const int process = static_cast<int>(syscall(SYS_pidfd_open, pid(rank), 0));
    pollfd event{process, POLLIN, 0};
    const bool over = poll(&event, 1, static_cast<int>(left)) > 0;
    close(process);
    if (over) reap(rank);
    all = all && over;
  }
  return all;
}

BusyCores::BusyCores() {
  for (int i = 0; i < kCores; ++i) {
    const pid_t made = fork_with_parent();
    if (made == 0) {
      for (std::atomic<uint64_t> spin{0};; spin.fetch_add(1, std::memory_order_relaxed)) {
      }
    }
    pids_.push_back(made);
  }
}

BusyCores::~BusyCores() {
  for (const pid_t pid : pids_) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

}  // namespace tandem::test
