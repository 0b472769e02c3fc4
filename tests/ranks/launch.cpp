// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>

namespace tandem::test {

RankProcess::RankProcess(const std::string& role, int rank, int size, const std::string& address,
                         const Environment& environment) {
  const std::string rank_text = std::to_string(rank), size_text = std::to_string(size);
  const char* const arguments[] = {"rank",          "--role", role.c_str(), rank_text.c_str(), size_text.c_str(),
                                   address.c_str(), nullptr};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(ends[1], STDOUT_FILENO);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    execv("/proc/self/exe", const_cast<char* const*>(arguments));
    _exit(127);
  }
  close(ends[1]);
  output_ = ends[0];
}

RankProcess::RankProcess(RankProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_(std::exchange(other.output_, -1)),
      buffer_(std::move(other.buffer_)) {}

RankProcess::~RankProcess() {
  if (pid_ > 0) {
    signal(SIGKILL);
    wait();
  }
  if (output_ >= 0) close(output_);
}

void RankProcess::signal(int number) const { kill(pid_, number); }

std::string RankProcess::line() {
  constexpr int kPatienceMs = 60'000;
  while (true) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string result = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return result;
    }
    pollfd event{output_, POLLIN, 0};
    char bytes[4096];
    const ssize_t got = poll(&event, 1, kPatienceMs) > 0 ? read(output_, bytes, sizeof bytes) : 0;
    if (got <= 0) return std::exchange(buffer_, {});
    buffer_.append(bytes, static_cast<size_t>(got));
  }
}

int RankProcess::wait() {
  int status = -1;
  while (pid_ > 0 && waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

std::vector<RankProcess> launch(const std::string& role, int size, const std::string& address,
                                const Environment& environment) {
  std::vector<RankProcess> ranks;
  for (int rank = 0; rank < size; ++rank) ranks.emplace_back(role, rank, size, address, environment);
  return ranks;
}

std::string new_address() {
  static int counter = 0;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return "ranks-test-" + std::to_string(getpid()) + "-" + std::to_string(++counter) + "-" + std::to_string(now.tv_nsec);
}

// Without those of MPI programs that may run at the same time.
std::vector<std::string> shared_memory_names() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("vader_segment.") && !name.starts_with("mpich_")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace tandem::test
