// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/fault.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <mutex>
#include <thread>

#include "tandem/base/env.h"
#include "tandem/exec/wait.h"

namespace tandem {
namespace {

constexpr std::array<std::string_view, 7> kKinds = {"kill", "stop", "delay", "drop", "corrupt", "memory", "flip"};
constexpr std::array<std::string_view, 8> kSteps = {"begin", "ready", "done", "free", "await", "end", "sent", "taken"};
constexpr int64_t kMostMilliseconds = 3'600'000;

std::atomic<bool> active{false};
std::atomic<std::atomic<int64_t>*> moment{nullptr};
std::mutex mutex;
FaultSpec current;    // guarded by mutex
int64_t matches = 0;  // guarded by mutex

std::string_view take_until(std::string_view& text, std::string_view separators) {
  const size_t at = text.find_first_of(separators);
  const std::string_view part = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
  return part;
}

template <class T>
bool parse_number(std::string_view text, T low, T high, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value >= low && value <= high;
}

tl::unexpected<Error> refuse(std::string_view what, std::string_view given, std::string_view wanted) {
  return fail(ErrorCode::invalid_argument,
              fmt::format("TANDEM_FAULT: {} is '{}', {} wanted", what, given.substr(0, 80), wanted));
}

template <class Names>
bool listed(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool parse_step(std::string_view value, FaultSpec& spec) {
  if (listed(kSteps, value)) {
    spec.step = value;
    return true;
  }
  return parse_number<int64_t>(value, 1, INT64_MAX, spec.count);
}

Status parse_field(std::string_view field, FaultSpec& spec, bool& has_rank) {
  std::string_view value = field;
  const std::string_view key = take_until(value, "=");
  if (key == "rank") {
    has_rank = parse_number(value, 0, 1 << 16, spec.rank);
    return has_rank ? Status{} : refuse("rank", value, "a rank's number");
  }
  if (key == "count") {
    return parse_number<int64_t>(value, 1, INT64_MAX, spec.count) ? Status{}
                                                                  : refuse("count", value, "a number from 1");
  }
  if (key == "step") {
    return parse_step(value, spec)
               ? Status{}
               : refuse("step", value, fmt::format("a number from 1 or one of {}", fmt::join(kSteps, " ")));
  }
  if (key == "ms") {
    return parse_number<int64_t>(value, 1, kMostMilliseconds, spec.ms) ? Status{} : refuse("ms", value, "1 to 3600000");
  }
  return refuse("a field", field, "rank=, step=, count= or ms=");
}

// Whether a match of the loaded fault acts; `fallback` is the count that holds when none was given, 0 = every time.
bool acts(std::string_view kind, std::string_view step, int rank, int64_t fallback) {
  if (!active.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(mutex);
  if (current.kind != kind || current.rank != rank) return false;
  if (!current.step.empty() && current.step != step) return false;
  ++matches;
  const int64_t wanted = current.count != 0 ? current.count : fallback;
  return wanted == 0 || matches == wanted;
}

void note_moment() {
  if (auto* at = moment.load(std::memory_order_relaxed)) at->store(monotonic_ns(), std::memory_order_release);
}

void send_to_self(int signal) {
  note_moment();
  kill(getpid(), signal);
}

void sleep_for_fault() {
  int64_t milliseconds = 0;
  {
    const std::lock_guard lock(mutex);
    milliseconds = current.ms;
  }
  note_moment();
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

}  // namespace

Expected<FaultSpec> parse_fault(std::string_view text) {
  FaultSpec spec;
  bool has_rank = false;
  spec.kind = take_until(text, ":");
  if (!listed(kKinds, spec.kind)) {
    return refuse("the kind", spec.kind, fmt::format("one of {}, then :rank=R", fmt::join(kKinds, " ")));
  }
  while (!text.empty()) {
    if (Status s = parse_field(take_until(text, ",:"), spec, has_rank); !s) return fail(s.error());
  }
  if (!has_rank) return refuse("the rank", "", "rank=R");
  if (spec.kind == "delay" && spec.ms == 0) return refuse("the delay", "", "ms=T");
  return spec;
}

Status load_faults() {
  const auto text = env_text("TANDEM_FAULT");
  if (!text && !active.load(std::memory_order_relaxed)) return {};
  const auto spec = text ? parse_fault(*text) : Expected<FaultSpec>(FaultSpec{});
  if (!spec) return fail(spec.error());
  const std::lock_guard lock(mutex);
  current = *spec;
  matches = 0;
  active.store(text.has_value(), std::memory_order_relaxed);
  return {};
}

bool fault_injected(std::string_view kind, int rank) { return acts(kind, "", rank, 0); }

FaultAct fault_point(std::string_view step, int rank) {
  if (!active.load(std::memory_order_relaxed)) return FaultAct::none;
  if (acts("kill", step, rank, 1)) send_to_self(SIGKILL);
  if (acts("stop", step, rank, 1)) send_to_self(SIGSTOP);
  if (acts("delay", step, rank, 1)) sleep_for_fault();
  if (acts("drop", step, rank, 0)) return FaultAct::drop;
  return acts("corrupt", step, rank, 1) ? FaultAct::corrupt : FaultAct::none;
}

void watch_fault(std::atomic<int64_t>* moment_ns) { moment.store(moment_ns, std::memory_order_relaxed); }

int64_t fault_matches() {
  const std::lock_guard lock(mutex);
  return matches;
}

}  // namespace tandem
