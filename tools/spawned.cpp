// SPDX-License-Identifier: Apache-2.0
#include "tools/spawned.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

namespace tandem::tool {
namespace {

constexpr size_t kMostLine = 65536;  // a longer line is passed on in pieces
constexpr int kCannotRun = 127;      // as a shell says it

bool g_output_failed = false;

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.data()));
  result.push_back(nullptr);
  return result;
}

// What the child needs; made before fork().
struct ChildPlan {
  pid_t parent;
  int out, err, input;
  const char* folder;  // null: as it is
  const sigset_t* mask;
  char* const* arguments;
  char* const* environment;
};

// In the child, up to its program: system calls only.
[[noreturn]] void become(const ChildPlan& plan) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(kCannotRun);
  ::dup2(plan.out, STDOUT_FILENO);
  ::dup2(plan.err, STDERR_FILENO);
  if (plan.input != STDIN_FILENO) ::dup2(plan.input >= 0 ? plan.input : ::open("/dev/null", O_RDONLY), STDIN_FILENO);
  ::signal(SIGPIPE, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, plan.mask, nullptr);
  if (plan.folder == nullptr || ::chdir(plan.folder) == 0)
    ::execvpe(plan.arguments[0], plan.arguments, plan.environment);
  char text[] = "tandem launch: the program could not be run: ", end[] = "\n";
  char* reason = const_cast<char*>(strerrordesc_np(errno));
  const iovec parts[] = {{text, sizeof text - 1}, {reason, std::strlen(reason)}, {end, 1}};
  [[maybe_unused]] const ssize_t ignored = ::writev(STDERR_FILENO, parts, 3);
  ::_exit(kCannotRun);
}

}  // namespace

bool write_all(int target, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(target, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      pollfd wait{target, POLLOUT, 0};
      ::poll(&wait, 1, 100);
      continue;
    }
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

Expected<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(ErrorCode::io, fmt::format("pipe2: {}", std::strerror(errno)));
  Pipe made{OwnedDescriptor(ends[0]), OwnedDescriptor(ends[1])};
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return made;
}

SpawnedRank::SpawnedRank(const SpawnPlan& plan, OwnedDescriptor out, OwnedDescriptor err)
    : name_(plan.name),
      prefix_(plan.prefix),
      out_{std::move(out), STDOUT_FILENO, {}},
      err_{std::move(err), STDERR_FILENO, {}} {}

Expected<std::unique_ptr<SpawnedRank>> SpawnedRank::start(const SpawnPlan& plan, const sigset_t& mask) {
  auto out = make_pipe();
  auto err = make_pipe();
  if (!out || !err) return fail(out ? err.error() : out.error());
  const auto arguments = pointers(plan.program);
  const auto variables = pointers(plan.environment);
  const ChildPlan child{::getpid(),
                        out->writing.get(),
                        err->writing.get(),
                        plan.input,
                        plan.folder.empty() ? nullptr : plan.folder.c_str(),
                        &mask,
                        arguments.data(),
                        variables.data()};
  std::unique_ptr<SpawnedRank> made(new SpawnedRank(plan, std::move(out->reading), std::move(err->reading)));
  made->pid_ = ::fork();
  if (made->pid_ == 0) become(child);
  if (made->pid_ < 0) return fail(ErrorCode::io, fmt::format("{}: fork: {}", plan.name, std::strerror(errno)));
  ::setpgid(made->pid_, made->pid_);  // in both, so that neither can be too late
  made->alive_ = true;
  return made;
}

void SpawnedRank::signal(int number) const {
  if (alive_) ::kill(-pid_, number);
}

void SpawnedRank::add_to(std::vector<pollfd>& waits) const {
  for (const Stream* stream : {&out_, &err_}) {
    if (stream->pipe.get() >= 0) waits.push_back({stream->pipe.get(), POLLIN, 0});
  }
}

void SpawnedRank::pass_lines(Stream& stream, bool all) const {
  std::string text;
  const auto add = [&](std::string_view line) {
    text += prefix_;
    text += line;
  };
  std::string_view rest = stream.line;
  for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    add(rest.substr(0, end + 1));
    rest.remove_prefix(end + 1);
  }
  if (!rest.empty() && (all || rest.size() >= kMostLine)) {
    add(rest);
    text += '\n';
    rest = {};
  }
  if (!write_all(stream.target, text)) g_output_failed = true;
  stream.line = std::string(rest);
}

void SpawnedRank::read_stream(Stream& stream) const {
  std::array<char, kMostLine> buffer;
  constexpr int kReads = 16;  // then it is the other ranks' turn
  for (int i = 0; i < kReads && stream.pipe.get() >= 0; ++i) {
    const ssize_t got = ::read(stream.pipe.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) stream.pipe.reset();
    if (got > 0) stream.line.append(buffer.data(), static_cast<size_t>(got));
    pass_lines(stream, got <= 0);
  }
}

void SpawnedRank::read_output() {
  read_stream(out_);
  read_stream(err_);
}

void SpawnedRank::flush() {
  for (Stream* stream : {&out_, &err_}) {
    pass_lines(*stream, true);
    stream->pipe.reset();
  }
}

int SpawnedRank::ended(int wait_status) {
  alive_ = false;
  wait_status_ = wait_status;
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

std::string SpawnedRank::ending() const {
  if (WIFSIGNALED(wait_status_)) {
    const int number = WTERMSIG(wait_status_);
    return fmt::format("{} (process {}) was killed by signal {} ({})", name_, pid_, number, ::strsignal(number));
  }
  return fmt::format("{} (process {}) ended with exit code {}", name_, pid_, WEXITSTATUS(wait_status_));
}

bool output_failed() { return g_output_failed; }

void report_line(const std::string& text) {
  if (!write_all(STDERR_FILENO, fmt::format("tandem launch: {}\n", text))) g_output_failed = true;
}

int free_port() {
  const OwnedDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool bound = ::bind(socket.get(), generic, length) == 0 && ::getsockname(socket.get(), generic, &length) == 0;
  return bound ? ntohs(address.sin_port) : 0;
}

std::vector<pid_t> own_children() {
  std::ifstream file(fmt::format("/proc/self/task/{}/children", ::getpid()));
  std::vector<pid_t> result;
  for (pid_t child = 0; file >> child;) result.push_back(child);
  return result;
}

}  // namespace tandem::tool
