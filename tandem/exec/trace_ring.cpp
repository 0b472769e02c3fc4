// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/trace_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>

namespace tandem {
namespace {

constexpr std::string_view kFooter = "{\"name\":\"end\",\"ph\":\"M\",\"pid\":0,\"tid\":0,\"args\":{}}]}\n";

std::string_view name_of(TraceKind kind) {
  constexpr std::string_view kNames[] = {"operation", "compute", "publish", "wait", "reduce", "tail", "copy"};
  return kNames[static_cast<size_t>(kind)];
}

// Names come from our own code; whatever would need an escape is replaced.
std::string plain(const std::array<char, 23>& name) {
  std::string text(name.data());
  std::ranges::replace_if(
      text, [](char c) { return c < ' ' || c > '~' || c == '"' || c == '\\'; }, '_');
  return text;
}

class LineWriter {
 public:
  explicit LineWriter(int64_t offset_ns) : offset_ns_(offset_ns) {}

  void lane(const TraceRecord& r) {
    fmt::format_to(out(), R"({{"name":"process_name","ph":"M","pid":{},"tid":{},"args":{{"name":"rank {}"}}}},{})",
                   r.rank, r.thread, r.rank, '\n');
  }
  void begin(const TraceRecord& r) {
    fmt::format_to(out(), R"({{"name":"{}","cat":"{}","ph":"B",)", plain(r.name), name_of(r.kind));
    place(r, r.begin_ns);
    fmt::format_to(out(), R"(,"args":{{"step":{},"bytes":{}}}}},{})", r.step, r.bytes, '\n');
  }
  void end(const TraceRecord& r) {
    text_ += R"({"ph":"E",)";
    place(r, r.end_ns);
    text_ += "},\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::back_insert_iterator<std::string> out() { return std::back_inserter(text_); }
  void place(const TraceRecord& r, int64_t ns) {
    const int64_t at = std::max<int64_t>(0, ns + offset_ns_);
    fmt::format_to(out(), R"("ts":{}.{:03},"pid":{},"tid":{})", at / 1000, at % 1000, r.rank, r.thread);
  }

  int64_t offset_ns_;
  std::string text_;
};

// Spans of one thread and rank, earliest first, the enclosing one before what it encloses.
void write_lane(LineWriter& lines, std::span<TraceRecord> records) {
  lines.lane(records.front());
  std::vector<const TraceRecord*> open;
  for (TraceRecord& record : records) {
    while (!open.empty() && open.back()->end_ns <= record.begin_ns) {
      lines.end(*open.back());
      open.pop_back();
    }
    if (!open.empty()) record.end_ns = std::min(record.end_ns, open.back()->end_ns);
    lines.begin(record);
    open.push_back(&record);
  }
  for (; !open.empty(); open.pop_back()) lines.end(*open.back());
}

}  // namespace

void TraceRing::add(const TraceRecord& record) {
  const std::lock_guard lock(mutex_);
  if (records_.size() < kMost) {
    records_.push_back(record);
    return;
  }
  records_[next_] = record;
  next_ = (next_ + 1) % kMost;
  ++dropped_;
}

std::vector<TraceRecord> TraceRing::take(uint64_t& dropped) {
  const std::lock_guard lock(mutex_);
  dropped += dropped_;
  dropped_ = 0;
  next_ = 0;
  return std::exchange(records_, {});
}

std::string trace_lines(std::vector<TraceRecord> records, int64_t offset_ns) {
  const auto lane = [](const TraceRecord& r) { return std::tuple(r.rank, r.thread); };
  std::ranges::sort(records, [&](const TraceRecord& a, const TraceRecord& b) {
    return std::tuple(lane(a), a.begin_ns, -a.end_ns) < std::tuple(lane(b), b.begin_ns, -b.end_ns);
  });
  LineWriter lines(offset_ns);
  for (size_t first = 0; first < records.size();) {
    size_t last = first + 1;
    while (last < records.size() && lane(records[last]) == lane(records[first])) ++last;
    write_lane(lines, std::span(records).subspan(first, last - first));
    first = last;
  }
  return lines.take();
}

std::string trace_header(std::string_view run) {
  return fmt::format(
      "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"tandem_trace\":1,\"run\":\"{}\"}},\"traceEvents\":[\n", run);
}

bool is_trace(std::string_view file) {
  return file.starts_with(R"({"displayTimeUnit":"ns","otherData":{"tandem_trace":1,)") && file.ends_with(kFooter);
}

std::string_view trace_footer() { return kFooter; }

std::string_view trace_body(std::string_view file, std::string_view header) {
  if (!file.starts_with(header) || !file.ends_with(kFooter)) return {};
  if (file.size() < header.size() + kFooter.size()) return {};
  return file.substr(header.size(), file.size() - header.size() - kFooter.size());
}

}  // namespace tandem
