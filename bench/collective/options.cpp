// SPDX-License-Identifier: Apache-2.0
#include "bench/collective/options.h"

#include <fmt/format.h>

#include <charconv>

#include "bench/collective/operation.h"

namespace tandem::bench {

size_t bytes_from_text(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !(number > 0) || number > 1e15) return 0;
  std::string unit(end, text.data() + text.size());
  if (!unit.empty() && (unit.back() == 'B' || unit.back() == 'b')) unit.pop_back();
  constexpr double kKilo = 1024;
  if (unit.empty()) return static_cast<size_t>(number);
  if (unit == "K" || unit == "k") return static_cast<size_t>(number * kKilo);
  if (unit == "M" || unit == "m") return static_cast<size_t>(number * kKilo * kKilo);
  if (unit == "G" || unit == "g") return static_cast<size_t>(number * kKilo * kKilo * kKilo);
  return 0;
}

std::string complaint_about(const CollectiveOptions& o) {
  for (const std::string& name : o.operations) {
    if (find_operation(name) != nullptr) continue;
    std::string known;
    for (const Operation& operation : operations())
      known += fmt::format("{}{}", known.empty() ? "" : ", ", operation.name);
    return fmt::format("--op {}: known are {}", name, known);
  }
  for (const std::string& type : o.types) {
    if (type_from_word(type) == DType::none)
      return fmt::format("--datatype {}: known are int8, uint8 ... int64, uint64, half, bfloat16, float, double", type);
  }
  for (const std::string& word : o.combinations) {
    Combine how{};
    if (!combination_from_word(word, how)) return fmt::format("--redop {}: known are sum, prod, max, min, avg", word);
  }
  if (o.least == 0 || o.most < o.least)
    return "--minbytes, --maxbytes: sizes like 8, 64K, 16M, and the least not above the most wanted";
  return "";
}

}  // namespace tandem::bench
