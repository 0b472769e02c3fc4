// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "tandem/exec/trace.h"

// The memory of a trace and its form as text. Internal to exec.
namespace tandem {

struct TraceRecord {
  int64_t begin_ns = 0, end_ns = 0, step = -1, bytes = 0;
  int32_t rank = 0;
  int32_t thread = 0;
  TraceKind kind = TraceKind::operation;
  std::array<char, 23> name{};  // ends with a zero
};

// The newest spans of one thread.
class TraceRing {
 public:
  static constexpr size_t kMost = 1 << 15;

  void add(const TraceRecord& record);
  // Takes everything out; `dropped` grows by what did not fit.
  std::vector<TraceRecord> take(uint64_t& dropped);

 private:
  std::mutex mutex_;
  std::vector<TraceRecord> records_;
  size_t next_ = 0;  // oldest, once full
  uint64_t dropped_ = 0;
};

// Lines of events, begin and end of every span, each line ending in a comma. Spans of a thread nest.
std::string trace_lines(std::vector<TraceRecord> records, int64_t offset_ns);
std::string trace_header(std::string_view run);
std::string_view trace_footer();
// Whether it is a trace of any run.
bool is_trace(std::string_view file);
// Lines between header and footer of a file of this run; empty when it is none.
std::string_view trace_body(std::string_view file, std::string_view header);

}  // namespace tandem
