// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/trace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <utility>

#include "tandem/base/env.h"
#include "tandem/base/log.h"
#include "tandem/exec/trace_ring.h"
#include "tandem/exec/wait.h"

namespace tandem {

namespace trace_detail {
constinit std::atomic<bool> on{false};
}  // namespace trace_detail

namespace {

constexpr size_t kMostRings = 256;
constexpr size_t kMostFile = size_t{1} << 30;  // a file of siblings that is larger is not read

int64_t realtime_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// One in a process; a forked child makes its own. Never destroyed: threads may outlive everything.
struct Recorder {
  std::mutex mutex;
  std::string path, run;
  int64_t started_ns = 0;  // CLOCK_REALTIME
  std::atomic<int64_t> offset_ns{0};
  std::vector<std::shared_ptr<TraceRing>> rings;
  uint64_t dropped = 0;
};

constinit std::atomic<Recorder*> g_recorder{nullptr};

// The ring of this thread; `of` tells whether it is that of the present recorder.
struct OwnRing {
  Recorder* of = nullptr;
  std::shared_ptr<TraceRing> ring;
  int32_t thread = 0;
  int32_t rank = 0;
};

OwnRing& own_ring(Recorder& recorder) {
  thread_local OwnRing own;
  if (own.of == &recorder) return own;
  own.of = &recorder;
  own.thread = static_cast<int32_t>(::syscall(SYS_gettid));
  own.ring = nullptr;
  const std::lock_guard lock(recorder.mutex);
  if (recorder.rings.size() >= kMostRings) return own;
  own.ring = std::make_shared<TraceRing>();
  recorder.rings.push_back(own.ring);
  return own;
}

// FNV-1a: names a run in few characters without telling the address its ranks share.
std::string digest(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", hash);
}

void finish_at_exit() {
  const auto finished = finish_trace();
  if (!finished) log_warn("{}", finished.error().message);
}

// What the parent recorded is the parent's to write; locks of its other threads may be held for ever.
void renew_in_child() {
  Recorder* before = g_recorder.load();
  if (before == nullptr) return;
  auto* renewed = new (std::nothrow) Recorder;
  if (renewed != nullptr) {
    renewed->path = before->path;
    renewed->started_ns = realtime_ns();
    renewed->offset_ns = before->offset_ns.load();
  }
  trace_detail::on = renewed != nullptr;
  g_recorder = renewed;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> cannot(const std::string& path) {
  return fail(ErrorCode::io, fmt::format("trace {}: {}", path, std::strerror(errno)));
}

// A file that a sibling wrote since this process began to trace; anything else gives no text.
std::string file_of_siblings(const std::string& path, int64_t since_ns) {
  constexpr int64_t kCoarse = 20'000'000;  // file times are those of the kernel's last tick
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  struct stat about {};
  if (file.get() < 0 || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) return "";
  const int64_t changed = int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec;
  if (changed + kCoarse < since_ns || static_cast<size_t>(about.st_size) > kMostFile) return "";
  std::string text(static_cast<size_t>(about.st_size), '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<size_t>(got);
  }
  text.resize(have);
  return text;
}

Status write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return cannot(path);
    text.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

Status replace_file(const std::string& path, std::initializer_list<std::string_view> parts) {
  const std::string part = fmt::format("{}.{}.part", path, ::getpid());
  Status written;
  {
    const Descriptor file(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (file.get() < 0) return cannot(part);
    for (const std::string_view text : parts) {
      if (written) written = write_all(file.get(), text, part);
    }
  }
  if (written && ::rename(part.c_str(), path.c_str()) != 0) written = cannot(path);
  if (!written) ::unlink(part.c_str());
  return written;
}

// One process at a time looks at the file and replaces it; the lock is on the folder, so nothing is left behind.
Status merge(const Recorder& recorder, std::string_view lines) {
  const std::string folder = std::filesystem::path(recorder.path).parent_path().string();
  const Descriptor lock(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.get() < 0) return cannot(recorder.path);
  while (::flock(lock.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  const std::string header = trace_header(recorder.run);
  const std::string before = file_of_siblings(recorder.path, recorder.started_ns);
  if (lines.empty() && is_trace(before)) return {};  // a launcher, say, whose ranks wrote it
  return replace_file(recorder.path, {header, trace_body(before, header), lines, trace_footer()});
}

std::string dropped_line(uint64_t dropped, int32_t rank) {
  if (dropped == 0) return "";
  return fmt::format(R"({{"name":"dropped","ph":"M","pid":{},"tid":{},"args":{{"count":{}}}}},{})", rank, ::getpid(),
                     dropped, '\n');
}

}  // namespace

void trace_to(const std::string& path) {
  static std::mutex once;
  const std::lock_guard lock(once);
  if (path.empty() || g_recorder.load() != nullptr) return;
  auto* recorder = new Recorder;
  std::error_code ignored;
  recorder->path = std::filesystem::absolute(path, ignored).string();
  recorder->started_ns = realtime_ns();
  if (const auto job = env_text("TANDEM_JOB")) recorder->run = digest(*job);
  g_recorder = recorder;
  ::pthread_atfork(nullptr, nullptr, renew_in_child);
  std::atexit(finish_at_exit);
  trace_detail::on = true;
}

void trace_from_environment() {
  static const bool looked = [] {
    if (const auto path = env_text("TANDEM_TRACE")) trace_to(*path);
    return true;
  }();
  static_cast<void>(looked);
}

void name_traced_run(std::string_view text) {
  Recorder* recorder = g_recorder.load();
  if (recorder == nullptr) return;
  const std::lock_guard lock(recorder->mutex);
  if (recorder->run.empty()) recorder->run = digest(text);
}

void set_trace_clock(int64_t offset_ns) {
  if (Recorder* recorder = g_recorder.load()) recorder->offset_ns = offset_ns;
}

Status finish_trace() {
  Recorder* recorder = g_recorder.load();
  if (recorder == nullptr) return {};
  const std::lock_guard lock(recorder->mutex);
  if (recorder->run.empty()) recorder->run = digest(fmt::format("{} {}", ::getpid(), recorder->started_ns));
  std::vector<TraceRecord> all;
  std::string drops;
  for (const auto& ring : recorder->rings) {
    uint64_t dropped = 0;
    const auto records = ring->take(dropped);
    if (!records.empty()) drops += dropped_line(dropped, records.back().rank);
    all.insert(all.end(), records.begin(), records.end());
  }
  return merge(*recorder, trace_lines(std::move(all), recorder->offset_ns) + drops);
}

void TraceSpan::begin(TraceKind kind, std::string_view name, int rank, int64_t step, size_t bytes) {
  kind_ = kind;
  name_ = name;
  rank_ = rank;
  step_ = step;
  bytes_ = static_cast<int64_t>(bytes);
  begin_ns_ = monotonic_ns();
}

void TraceSpan::end() {
  Recorder* recorder = g_recorder.load();
  if (recorder == nullptr) return;
  OwnRing& own = own_ring(*recorder);
  if (own.ring == nullptr) return;
  if (rank_ >= 0) own.rank = rank_;
  TraceRecord record;
  record.begin_ns = begin_ns_;
  record.end_ns = monotonic_ns();
  record.step = step_;
  record.bytes = bytes_;
  record.rank = own.rank;
  record.thread = own.thread;
  record.kind = kind_;
  std::memcpy(record.name.data(), name_.data(), std::min(name_.size(), record.name.size() - 1));
  own.ring->add(record);
}

}  // namespace tandem
