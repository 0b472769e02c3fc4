// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tandem/check/oracle.h"

namespace tandem::check {
namespace {

// Place of element (i, j) of a matrix of k rows in blocks of 32 bytes by 16 rows, or in panels of 64 columns.
int64_t place_of(int64_t i, int64_t j, int64_t k, int64_t columns, bool blocks) {
  const int64_t rows = blocks ? (k + 15) / 16 * 16 : k;
  return (j / columns * rows + i) * columns + j % columns;
}

}  // namespace

std::map<std::string, Wanted> transdata_oracle(const Case& c) {
  const auto word = c.words.find("kind");
  const std::string kind = word == c.words.end() ? "to_nz" : word->second;
  const bool blocks = kind.ends_with("nz"), out = kind.starts_with("to");
  const Operand &x = c.operand("x"), &y = c.operand("y"), &plain = out ? x : y;
  const int64_t k = plain.dims[plain.dims.size() - 2], n = plain.dims.back();
  const int64_t columns = blocks ? 256 / dtype_bits(x.dtype) : 64;
  const int64_t each = (n + columns - 1) / columns * columns * (blocks ? (k + 15) / 16 * 16 : k);
  Wanted wanted;
  wanted.values.assign(static_cast<size_t>(y.elements()), 0);
  wanted.bounds.assign(wanted.values.size(), 0);
  for (int64_t at = 0; at < plain.elements(); ++at) {
    const int64_t matrix = at / (k * n);
    const int64_t other = matrix * each + place_of(at / n % k, at % n, k, columns, blocks);
    wanted.values[static_cast<size_t>(out ? other : at)] = x.at(out ? at : other);
  }
  return {{"y", wanted}};
}

std::map<std::string, Wanted> moe_tokens_oracle(const Case& c) {
  const auto ids = c.operand("sorted_expert").values();
  Wanted wanted;
  for (int64_t e = 0; e < c.operand("tokens").elements(); ++e) {
    const auto most = static_cast<double>(e);
    wanted.values.push_back(
        static_cast<double>(std::count_if(ids.begin(), ids.end(), [&](double id) { return id <= most; })));
  }
  wanted.bounds.assign(wanted.values.size(), 0);
  return {{"tokens", wanted}};
}

}  // namespace tandem::check
