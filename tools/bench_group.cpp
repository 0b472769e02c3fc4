// SPDX-License-Identifier: Apache-2.0
#include "tools/bench_group.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tandem/base/env.h"
#include "tandem/exec/wait.h"

namespace tandem::tool {
namespace {

std::atomic<int> g_interrupt{0};
void note_interrupt(int signal) { g_interrupt.store(signal, std::memory_order_relaxed); }

// While it lives SIGINT and SIGTERM only interrupt system calls.
class InterruptNoted {
 public:
  InterruptNoted() {
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    ::sigaction(SIGINT, &action, &before_[0]);
    ::sigaction(SIGTERM, &action, &before_[1]);
  }
  ~InterruptNoted() {
    ::sigaction(SIGINT, &before_[0], nullptr);
    ::sigaction(SIGTERM, &before_[1], nullptr);
  }
  InterruptNoted(const InterruptNoted&) = delete;
  InterruptNoted& operator=(const InterruptNoted&) = delete;

 private:
  struct sigaction before_[2] = {};
};

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string text; std::getline(file, text, '\0');) arguments.push_back(text);
  return arguments;
}

std::string on_path(const std::string& program) {
  std::string folders = env_text("PATH").value_or("/usr/local/bin:/usr/bin:/bin");
  folders += ':';
  for (size_t at = 0, end = 0; (end = folders.find(':', at)) != std::string::npos; at = end + 1) {
    const std::string path = folders.substr(at, end - at) + "/" + program;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

Expected<std::string> random_address() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail(ErrorCode::io, fmt::format("getrandom: {}", std::strerror(errno)));
  }
  return fmt::format("bench-{:02x}", fmt::join(bytes, ""));
}

constexpr double kLauncherSeconds = 5;

struct Child {
  pid_t pid = -1;
  int status = 0;
  bool launcher = false;  // of ranks that are not ours to kill

  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    stop();
    if (launcher) give_time();
    reap();
  }
  void stop() const {
    if (pid > 0) ::kill(pid, launcher ? SIGTERM : SIGKILL);
  }
  // A launcher has to end its ranks before it ends; one that does not is killed.
  void give_time() {
    const Deadline deadline = Deadline::after_seconds(kLauncherSeconds);
    while (pid > 0 && !deadline.passed()) {
      if (::waitpid(pid, &status, WNOHANG) == pid) pid = -1;
      if (pid > 0) ::usleep(10'000);
    }
    if (pid > 0) ::kill(pid, SIGKILL);
  }
  // False when an interrupt came first. Lasts as long as the ranks, whose waits have deadlines of their own.
  bool reap(bool until_interrupt = false) {
    while (pid > 0) {
      const pid_t ended = ::waitpid(pid, &status, 0);
      if (ended == pid || (ended < 0 && errno != EINTR)) pid = -1;
      if (pid > 0 && until_interrupt && g_interrupt.load(std::memory_order_relaxed) != 0) return false;
    }
    return true;
  }
  bool ended_well() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
};

// The child dies with this process; between fork and exec only what is safe there.
Status start(Child& child, std::vector<std::string> words, int out) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const int death_signal = child.launcher ? SIGTERM : SIGKILL;
  child.pid = ::fork();
  if (child.pid < 0) return fail(ErrorCode::io, fmt::format("fork: {}", std::strerror(errno)));
  if (child.pid > 0) return {};
  ::prctl(PR_SET_PDEATHSIG, death_signal);
  const int nothing = ::open("/dev/null", O_RDWR);
  if (::getppid() != parent || nothing < 0) ::_exit(1);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(out >= 0 ? out : nothing, STDOUT_FILENO);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

// All of it, or what came before an interrupt.
std::string read_all(int fd) {
  std::string text;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got > 0) text.append(buffer.data(), static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) return text;
    if (got < 0 && g_interrupt.load(std::memory_order_relaxed) != 0) return text;
  }
}

std::string ending_of(const Child& child, size_t index) {
  const std::string who = child.launcher ? "the launcher" : fmt::format("rank {}", index);
  if (WIFSIGNALED(child.status)) return fmt::format("{} was killed by signal {}", who, WTERMSIG(child.status));
  return fmt::format("{} ended with exit code {}", who, WEXITSTATUS(child.status));
}

Status start_all(const RankGroup& group, std::vector<Child>& children, int out) {
  const auto launcher = launcher_of(group.peer, group.ranks);
  if (!launcher) return fail(launcher.error());
  const auto address = random_address();
  if (!address) return fail(address.error());
  std::vector<std::string> words = own_arguments();
  if (words.empty()) return fail(ErrorCode::io, "/proc/self/cmdline cannot be read");
  words[0] = std::filesystem::read_symlink("/proc/self/exe");
  words.insert(words.end(), {"--group", *address});
  if (!group.peer.empty()) words.insert(words.end(), {"--peer", group.peer});
  if (!group.meeting.empty()) words.insert(words.end(), {"--meeting", group.meeting});
  if (group.progress) words.emplace_back("--progress");
  words.insert(words.end(), group.more.begin(), group.more.end());
  if (!launcher->empty()) {
    words.insert(words.begin(), launcher->begin(), launcher->end());
    children[0].launcher = true;
    return start(children[0], words, out);
  }
  words.insert(words.end(), {"--size", std::to_string(group.ranks), "--rank", ""});
  for (size_t rank = 0; rank < children.size(); ++rank) {
    words.back() = std::to_string(rank);
    if (Status s = start(children[rank], words, rank == 0 ? out : -1); !s) return s;
  }
  return {};
}

}  // namespace

Expected<std::vector<std::string>> launcher_of(const std::string& peer, int ranks) {
  if (peer != "openmpi" && peer != "mpich") return std::vector<std::string>{};
  const std::string program = on_path("mpirun." + peer);
  if (program.empty()) return fail(ErrorCode::unsupported, fmt::format("mpirun.{} is not on PATH", peer));
  // Unbound: ranks place themselves, the same way for ours and theirs.
  std::vector<std::string> words = {program, "-n", std::to_string(ranks)};
  if (peer == "mpich") return words;
  words.insert(words.end(), {"--bind-to", "none", "--oversubscribe"});
  if (::geteuid() == 0) words.emplace_back("--allow-run-as-root");
  return words;
}

Expected<nlohmann::json> run_group(const RankGroup& group) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(ErrorCode::io, fmt::format("pipe2: {}", std::strerror(errno)));
  const bool launched = group.peer == "openmpi" || group.peer == "mpich";
  std::string text;
  {
    const InterruptNoted noted;
    std::vector<Child> children(launched ? 1 : static_cast<size_t>(group.ranks));
    const Status started = start_all(group, children, ends[1]);
    ::close(ends[1]);
    if (started) text = read_all(ends[0]);
    ::close(ends[0]);
    if (!started) return fail(started.error());
    bool all = g_interrupt.load(std::memory_order_relaxed) == 0;
    for (Child& child : children) all = all && child.reap(true);
    for (size_t i = 0; all && i < children.size(); ++i) {
      if (!children[i].ended_well()) return fail(ErrorCode::peer_lost, ending_of(children[i], i));
    }
  }
  if (const int signal = g_interrupt.load(std::memory_order_relaxed); signal != 0) {
    if (!group.meeting.empty()) std::filesystem::remove_all(group.meeting);
    ::raise(signal);
  }
  auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_object()) return json;
  return fail(ErrorCode::malformed, "rank 0 wrote no report");
}

}  // namespace tandem::tool
