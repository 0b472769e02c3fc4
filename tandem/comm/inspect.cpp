// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/inspect.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "tandem/comm/board.h"
#include "tandem/comm/descriptor.h"
#include "tandem/comm/fingerprint.h"
#include "tandem/comm/flight.h"
#include "tandem/exec/wait.h"

// Everything read here is another process's memory while it changes: copied, then checked, like a peer's.
namespace tandem {
namespace {

constexpr size_t kHeadBytes = offsetof(FlightLog, ring);

class Memory {
 public:
  explicit Memory(int pid) : file_(::open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDONLY | O_CLOEXEC)) {}
  bool valid() const { return file_.valid(); }
  bool read(uint64_t address, void* to, size_t bytes) const {
    if (address > INT64_MAX) return false;
    return ::pread(file_.get(), to, bytes, static_cast<off_t>(address)) == static_cast<ssize_t>(bytes);
  }

 private:
  Descriptor file_;
};

std::vector<uint64_t> windows_of(int pid) {
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  std::vector<uint64_t> starts;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:tandem-window") == std::string::npos) continue;
    uint64_t start = 0;
    std::from_chars(line.data(), line.data() + line.size(), start, 16);
    starts.push_back(start);
  }
  return starts;
}

// One rank that lives in the process, and copies of the segments it sees.
struct View {
  std::unique_ptr<FlightLog, void (*)(void*)> log{nullptr, std::free};  // without its ring
  uint64_t log_at = 0;
  std::unique_ptr<Segment[]> segments;
  std::vector<Segment*> pointers;

  int rank() const { return static_cast<int>(log->rank); }
  int size() const { return static_cast<int>(log->size); }
  Board board(int as) const { return Board(as, pointers); }
};

bool is_segment(const Segment& s) { return s.identity.layout.load() == kLayoutVersion && s.identity.size <= kMaxRanks; }

// The rank whose own segment is mapped at `start`; nothing when it belongs to a peer.
std::optional<View> view_at(const Memory& memory, uint64_t start) {
  const auto own = std::make_unique<Segment>();
  if (!memory.read(start, static_cast<void*>(own.get()), sizeof(Segment)) || !is_segment(*own)) return std::nullopt;
  View view;
  view.log_at = own->progress.recorder.load();
  view.log.reset(static_cast<FlightLog*>(std::calloc(1, sizeof(FlightLog))));
  if (!view.log || !memory.read(view.log_at, static_cast<void*>(view.log.get()), kHeadBytes)) return std::nullopt;
  const FlightLog& log = *view.log;
  const bool ours = std::memcmp(log.magic, kFlightMagic, sizeof kFlightMagic) == 0 && log.entries == kFlightEntries &&
                    log.size >= 1 && log.size <= kMaxRanks && log.rank < log.size && log.segments[log.rank] == start;
  if (!ours) return std::nullopt;
  view.segments = std::make_unique<Segment[]>(log.size);
  for (uint32_t rank = 0; rank < log.size; ++rank) {
    if (!memory.read(log.segments[rank], static_cast<void*>(&view.segments[rank]), sizeof(Segment)))
      return std::nullopt;
    view.pointers.push_back(&view.segments[rank]);
  }
  return view;
}

std::string list_of(const std::vector<int>& ranks) {
  std::string text;
  for (const int rank : ranks) text += fmt::format("{}rank {}", text.empty() ? "" : ", ", rank);
  return text;
}

// "4711", "4711, stopped", "4711, gone".
std::string process_text(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  const size_t at = line.rfind(") ");
  const char state = at == std::string::npos ? 'X' : line[at + 2];
  if (state == 'X' || state == 'Z') return fmt::format("{}, gone", pid);
  return fmt::format("{}{}", pid, state == 'T' || state == 't' ? ", stopped" : "");
}

std::string goal_text(const Board& board, const Goal& goal) {
  constexpr std::array<std::string_view, kGoalKinds> kNames = {
      "ready",      "done", "free", "its call of operator", "a message, piece", "its end of a message, piece",
      "any message"};
  const auto kind = static_cast<size_t>(goal.counter);
  if (goal.counter == kAnyPair) return fmt::format("waits for {}", kNames[kind]);
  const auto& counter = goal.counter < kCounters ? board.of(goal.peer).counters[goal.counter].value
                                                 : board.pair_counter(goal.counter, goal.peer, board.rank());
  return fmt::format("waits for rank {}: {} {}, it has {}", goal.peer, kNames[kind], goal.value, counter.load());
}

std::string doing(const View& view, int rank) {
  const Board board = view.board(rank);
  const uint32_t sequence = board.own().counters[kCalled].value.load();
  const std::string call =
      sequence == 0
          ? "no operator yet"
          : fmt::format("{}, operator {}", describe(load_fingerprint(board.own().slots[sequence % 2])), sequence);
  if (const auto failure = board.failure_of(rank))
    return fmt::format("failed: {}; last call {}", failure->reason, call);
  if (board.left(rank)) return "left the communicator";
  const auto goal = board.blocked(rank);
  if (goal) return fmt::format("{}: {}", call, goal_text(board, *goal));
  return board.inside(rank) ? fmt::format("{}: waits for nobody", call)
                            : fmt::format("between operators; last {}", call);
}

std::string ranks_text(const View& view) {
  std::string text;
  std::map<int, std::vector<int>> held_by;
  for (int rank = 0; rank < view.size(); ++rank) {
    const int pid = view.log->pids[rank];
    text += fmt::format("  rank {}{}: {}\n", rank, pid == 0 ? "" : fmt::format(" (process {})", process_text(pid)),
                        doing(view, rank));
    const Board board = view.board(rank);
    const auto goal = board.blocked(rank);
    if (goal && !board.reached(*goal)) held_by[board.culprit_of(*goal).peer].push_back(rank);
  }
  for (const auto& [culprit, ranks] : held_by) text += fmt::format("  rank {} holds up {}\n", culprit, list_of(ranks));
  return text;
}

double seconds(int64_t ns) { return static_cast<double>(ns) * 1e-9; }

std::string entry_text(const FlightEntry& entry, bool newest) {
  const std::string call = fmt::format("    {:8} {}", entry.sequence, describe(entry.call));
  if (entry.ended_ns != 0) return fmt::format("{}: took {:.3f} s\n", call, seconds(entry.ended_ns - entry.began_ns));
  if (!newest) return call + ": did not end\n";
  return fmt::format("{}: began {:.3f} s ago\n", call, seconds(monotonic_ns() - entry.began_ns));
}

std::string log_text(const Memory& memory, const View& view, int last) {
  const uint64_t begun = view.log->begun.load();
  const auto count = std::min<uint64_t>({begun, static_cast<uint64_t>(std::max(last, 0)), kFlightEntries});
  std::string text = fmt::format("  rank {}: {} operators and messages, the last {}:\n", view.rank(), begun, count);
  for (uint64_t i = 1; i <= count; ++i) {
    FlightEntry entry;
    const uint64_t at = view.log_at + kHeadBytes + (begun - i) % kFlightEntries * sizeof(FlightEntry);
    if (!memory.read(at, static_cast<void*>(&entry), sizeof entry)) break;
    text += entry_text(entry, i == 1);
  }
  return text;
}

}  // namespace

Expected<std::string> inspect_process(int pid, int last) {
  const auto starts = windows_of(pid);
  const Memory memory(pid);
  if (!memory.valid() && errno == ENOENT) {
    return fail(ErrorCode::invalid_argument, fmt::format("inspect: there is no process {}", pid));
  }
  if (!memory.valid()) {
    return fail(ErrorCode::io, fmt::format("inspect: the memory of process {} may not be read ({}); the same user and "
                                           "kernel.yama.ptrace_scope 0, or root wanted",
                                           pid, strerrordesc_np(errno)));
  }
  std::string text;
  std::set<uint64_t> shown;
  for (const uint64_t start : starts) {
    const auto view = view_at(memory, start);
    if (!view) continue;
    if (shown.insert(view->log->segments[0]).second) {
      const std::string name = printable({view->log->name, strnlen(view->log->name, 128)}, 128);
      text += fmt::format("process {}: communicator {}, {} ranks\n{}", pid, name, view->size(), ranks_text(*view));
    }
    text += log_text(memory, *view, last);
  }
  if (!text.empty()) return text;
  if (!starts.empty()) {
    return fail(ErrorCode::mismatch, fmt::format("inspect: process {} runs another build of this library", pid));
  }
  return fail(ErrorCode::invalid_argument, fmt::format("inspect: process {} is a rank of no communicator", pid));
}

}  // namespace tandem
