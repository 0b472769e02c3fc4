// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/fault.h"

#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <mutex>

#include "tandem/base/env.h"
#include "tandem/base/log.h"

namespace tandem {
namespace {

std::atomic<bool> active{false};
std::mutex mutex;
FaultSpec current;    // guarded by mutex
int64_t matches = 0;  // guarded by mutex

std::string_view take_until(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
  return part;
}

template <class T>
bool parse_number(std::string_view text, T low, T high, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value >= low && value <= high;
}

bool parse_field(std::string_view field, FaultSpec& spec) {
  const std::string_view key = take_until(field, '=');
  if (key == "rank") return parse_number(field, 0, 1 << 16, spec.rank);
  if (key == "count") return parse_number<int64_t>(field, 1, INT64_MAX, spec.count);
  spec.step = field;
  return key == "step" && !field.empty();
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

}  // namespace

std::optional<FaultSpec> parse_fault(std::string_view text) {
  FaultSpec spec;
  spec.kind = take_until(text, ':');
  if (spec.kind.empty() || text.empty()) return std::nullopt;
  while (!text.empty()) {
    if (!parse_field(take_until(text, ':'), spec)) return std::nullopt;
  }
  return spec;
}

void load_faults() {
  const auto text = env_text("TANDEM_FAULT");
  const auto spec = text ? parse_fault(*text) : std::nullopt;
  if (text && !spec)
    log_warn("environment: TANDEM_FAULT={} ignored, <kind>:rank=<r>[:step=..][:count=..] wanted", *text);
  const std::lock_guard lock(mutex);
  current = spec.value_or(FaultSpec{});
  matches = 0;
  active.store(spec.has_value(), std::memory_order_relaxed);
}

bool fault_injected(std::string_view kind, int rank) { return acts(kind, "", rank, 0); }

void fault_point(std::string_view step, int rank) {
  if (acts("kill", step, rank, 1)) kill(getpid(), SIGKILL);
  if (acts("stop", step, rank, 1)) kill(getpid(), SIGSTOP);
}

}  // namespace tandem
