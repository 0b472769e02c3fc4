// SPDX-License-Identifier: Apache-2.0
#include "bench/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "bench/report.h"
#include "bench/session.h"
#include "tandem/base/dtype.h"

namespace tandem::bench {
namespace {

void run_families(Session& session, bool count_only) {
  bench_gemm(session, count_only);
  bench_rows(session, count_only);
  bench_attention(session, count_only);
}

template <size_t N>
std::string unknown(const char* what, const std::vector<std::string>& given, const std::array<std::string_view, N>& known) {
  for (const std::string& name : given) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string list;
    for (const std::string_view k : known) list += (list.empty() ? "" : ", ") + std::string(k);
    return fmt::format("{} {}: known are {}", what, name, list);
  }
  return "";
}

bool is_types(const std::string& text) {
  const size_t at = text.find('x');
  return at != std::string::npos && dtype_from_name(text.substr(0, at)) != DType::none &&
         dtype_from_name(text.substr(at + 1)) != DType::none;
}

}  // namespace

std::string complaint_about(const Options& o) {
  constexpr std::array<std::string_view, 9> kFamilies = {"gemm", "int8", "int4xint8", "transposed", "tree", "group", "rows", "attention", "all"};
  constexpr std::array<std::string_view, 3> kLayouts = {"packed", "row", "transposed"};
  constexpr std::array<std::string_view, 2> kMath = {"exact", "fast"};
  constexpr std::array<std::string_view, 3> kOffsets = {"none", "integer", "real"};
  for (const std::string& text : {unknown("--family", o.families, kFamilies), unknown("--layout", o.layouts, kLayouts),
                                  unknown("--math", o.math, kMath), unknown("--offset", o.offsets, kOffsets)}) {
    if (!text.empty()) return text;
  }
  for (const std::string& types : o.types) {
    if (!is_types(types)) return fmt::format("--types {}: activations x weights wanted, like f16xi8", types);
  }
  return "";
}

Outcome run_kernel_bench(const Options& options) {
  Session session(options);
  run_families(session, true);
  run_families(session, false);
  return {report_json(session), report_text(session), session.rows().size(), session.refused().size()};
}

}  // namespace tandem::bench
