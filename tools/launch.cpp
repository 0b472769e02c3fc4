// SPDX-License-Identifier: Apache-2.0
#include "tools/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tandem/base/env.h"
#include "tandem/exec/wait.h"
#include "tools/rank_process.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

// After a first rank failed, the others have this long to tell what they saw.
constexpr double kGraceSeconds = 5;
// No report is larger: the logits of a few positions as text.
constexpr size_t kMostReport = size_t{1} << 30;

// One rank process and the reading end of its report.
struct Child {
  pid_t pid = -1;
  int report_fd = -1;
  std::string report;
  int wait_status = 0;
  bool killed_by_us = false;

  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (report_fd >= 0) ::close(report_fd);
    if (pid < 0) return;
    ::kill(pid, SIGKILL);
    reap();
  }
  void reap() {
    while (::waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
    }
    pid = -1;
  }
  bool ended_well() const { return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0; }
};

Expected<std::string> random_address() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail(ErrorCode::io, fmt::format("getrandom: {}", std::strerror(errno)));
  }
  return fmt::format("tandem-{:02x}", fmt::join(bytes, ""));
}

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string text; std::getline(file, text, '\0');) arguments.push_back(text);
  return arguments;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

class SpawnActions {
 public:
  SpawnActions(int report_fd, bool speaks) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, report_fd, kReportDescriptor);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!speaks) posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

Status start(Child& child, const RankTicket& ticket, bool speaks) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(ErrorCode::io, fmt::format("pipe2: {}", std::strerror(errno)));
  child.report_fd = ends[0];
  std::vector<std::string> arguments = own_arguments();
  std::vector<std::string> environment = env_for_child("TANDEM_RENDEZVOUS", write_ticket(ticket));
  const SpawnActions actions(ends[1], speaks);
  const int error = ::posix_spawn(&child.pid, "/proc/self/exe", actions.get(), nullptr, pointers(arguments).data(),
                                  pointers(environment).data());
  ::close(ends[1]);
  if (error == 0) return {};
  child.pid = -1;
  return fail(ErrorCode::io, fmt::format("rank {} could not be started: {}", ticket.rank, std::strerror(error)));
}

// Reads what is there; at the end of the report the child is reaped.
void read_report(Child& child) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(child.report_fd, buffer.data(), buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got > 0 && child.report.size() < kMostReport) {
    child.report.append(buffer.data(), static_cast<size_t>(got));
    return;
  }
  ::close(child.report_fd);
  child.report_fd = -1;
  child.reap();
}

void kill_rest(std::vector<Child>& children) {
  for (Child& child : children) {
    if (child.pid < 0) continue;
    child.killed_by_us = true;
    ::kill(child.pid, SIGKILL);
  }
}

// Until every rank has ended. The first failure starts the grace of the others. Returns it, or -1.
int wait_for_all(std::vector<Child>& children) {
  int failed = -1;
  Deadline grace = Deadline::never();
  while (true) {
    std::vector<pollfd> waits;
    for (const Child& child : children) {
      if (child.report_fd >= 0) waits.push_back({child.report_fd, POLLIN, 0});
    }
    if (waits.empty()) return failed;
    constexpr int kSliceMs = 100;
    ::poll(waits.data(), waits.size(), kSliceMs);
    for (size_t rank = 0; rank < children.size(); ++rank) {
      Child& child = children[rank];
      const auto ready = [&](const pollfd& wait) { return wait.fd == child.report_fd && wait.revents != 0; };
      if (child.report_fd < 0 || std::none_of(waits.begin(), waits.end(), ready)) continue;
      read_report(child);
      if (failed >= 0 || child.pid >= 0 || child.ended_well()) continue;
      failed = static_cast<int>(rank);
      grace = Deadline::after_seconds(kGraceSeconds);
    }
    if (!grace.passed()) continue;
    kill_rest(children);
    grace = Deadline::never();
  }
}

// Whether nobody reads the text any more, as behind `| head`.
bool reader_left(const Child& speaker) {
  return WIFSIGNALED(speaker.wait_status) && WTERMSIG(speaker.wait_status) == SIGPIPE;
}

// What a rank said or how it ended.
std::string ending_of(const Child& child, size_t rank) {
  if (WIFSIGNALED(child.wait_status)) {
    const int signal = WTERMSIG(child.wait_status);
    return fmt::format("rank {} was killed by signal {} ({})", rank, signal, ::strsignal(signal));
  }
  const auto report = nlohmann::json::parse(child.report, nullptr, false);
  const bool said = report.is_object() && report.contains("error") && report["error"].is_string();
  const std::string text = said ? report["error"].get<std::string>()
                                : fmt::format("ended with exit code {}", WEXITSTATUS(child.wait_status));
  const std::string name = fmt::format("rank {}", rank);
  return text.starts_with(name) ? text : name + ": " + text;
}

// The first that failed, then what the others saw.
Error describe_failure(const std::vector<Child>& children, int failed) {
  const auto killed = [](const Child& child) { return WIFSIGNALED(child.wait_status) && !child.killed_by_us; };
  const auto culprit = std::find_if(children.begin(), children.end(), killed);
  const size_t first =
      culprit != children.end() ? static_cast<size_t>(culprit - children.begin()) : static_cast<size_t>(failed);
  std::string text = ending_of(children[first], first);
  for (size_t rank = 0; rank < children.size(); ++rank) {
    const Child& child = children[rank];
    if (rank == first || child.killed_by_us || child.ended_well()) continue;
    text += " | " + ending_of(child, rank);
  }
  return {ErrorCode::peer_lost, text};
}

Expected<RankReport> collect(const std::vector<Child>& children) {
  RankReport total;
  for (size_t rank = children.size(); rank-- > 0;) {
    const auto json = nlohmann::json::parse(children[rank].report, nullptr, false);
    auto report = report_from_json(json);
    if (!report) return fail(report.error().code, fmt::format("rank {}: {}", rank, report.error().message));
    report->memory_bytes += total.memory_bytes;
    report->resident_bytes += total.resident_bytes;
    total = std::move(*report);
  }
  return total;
}

}  // namespace

Expected<RankReport> launch_processes(const Job& job) {
  const auto address = random_address();
  if (!address) return fail(address.error());
  std::vector<Child> children(static_cast<size_t>(job.flags.tp));
  for (int rank = 0; rank < job.flags.tp; ++rank) {
    const RankTicket ticket{rank, job.flags.tp, static_cast<long>(::getpid()), *address};
    const bool speaks = rank == 0 && !job.flags.json;
    if (auto status = start(children[static_cast<size_t>(rank)], ticket, speaks); !status) return fail(status.error());
  }
  const int failed = wait_for_all(children);
  if (reader_left(children.front())) ::raise(SIGPIPE);  // as if this process had written the text itself
  if (failed >= 0) return fail(describe_failure(children, failed));
  return collect(children);
}

}  // namespace tandem::tool
