// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/rope_table.h"

#include <cstddef>

#include "tandem/llm/elementary.h"

namespace tandem {

RopeTable::RopeTable(int64_t positions, int64_t head_dim, double theta) {
  const int64_t half = head_dim / 2;
  std::vector<double> frequency(static_cast<size_t>(half));
  for (int64_t i = 0; i < half; ++i) {
    const double power = static_cast<double>(-2 * i) / static_cast<double>(head_dim);
    frequency[static_cast<size_t>(i)] = elementary::exp(power * elementary::log(theta));
  }
  cos.reserve(static_cast<size_t>(positions * half));
  sin.reserve(static_cast<size_t>(positions * half));
  for (int64_t position = 0; position < positions; ++position) {
    for (const double step : frequency) {
      const auto [sine, cosine] = elementary::sin_cos(static_cast<double>(position) * step);
      cos.push_back(static_cast<float>(cosine));
      sin.push_back(static_cast<float>(sine));
    }
  }
}

}  // namespace tandem
