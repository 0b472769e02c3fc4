// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tandem/base/status.h"

// What each rank did when, for one Chrome trace of all ranks. Off, a span costs one relaxed load.
//
// Each thread keeps its newest spans in a ring of its own; what a full ring drops is counted and written. At the end of
// the process (or at finish_trace()) they are merged into the file: processes of one run, told by the run's name, add
// to the same file one after the other, each by a complete new file that replaces the old one.
#pragma GCC visibility push(default)
namespace tandem {

enum class TraceKind : uint8_t { operation, compute, publish, wait, reduce, tail, copy };

namespace trace_detail {
extern std::atomic<bool> on;
}  // namespace trace_detail

inline bool tracing() { return trace_detail::on.load(std::memory_order_relaxed); }

// Starts a trace that ends in the file at `path`. The first call counts; TANDEM_TRACE is such a call.
void trace_to(const std::string& path);
// Looks at TANDEM_TRACE once in a process.
void trace_from_environment();
// A text that the processes of this run share; the first one counts.
void name_traced_run(std::string_view text);
// What to add to this process's clock to have the clock of rank 0's host.
void set_trace_clock(int64_t offset_ns);
// Merges what was traced so far into the file; nothing without a trace.
Status finish_trace();

// From construction to destruction on the calling thread. Rank below 0: that of the thread's last span.
class TraceSpan {
 public:
  TraceSpan(TraceKind kind, std::string_view name, int rank, int64_t step = -1, size_t bytes = 0) {
    if (tracing()) begin(kind, name, rank, step, bytes);
  }
  ~TraceSpan() {
    if (begin_ns_ != 0) end();
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  void begin(TraceKind kind, std::string_view name, int rank, int64_t step, size_t bytes);
  void end();

  int64_t begin_ns_ = 0, step_, bytes_;
  std::string_view name_;
  int rank_;
  TraceKind kind_;
};

}  // namespace tandem
#pragma GCC visibility pop
