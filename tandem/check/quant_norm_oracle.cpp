// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>

#include "tandem/check/oracle.h"

namespace tandem::check {
namespace {

constexpr double kV = 0x1p-24;

// What is quantised: the norm in the dtype of x, plus beta.
struct Normed {
  Wanted rows, sum;
  int64_t n = 0;
};

Normed norm_of(const Case& c) {
  Case plain = c;
  plain.operands["y"] = {c.operand("x")};
  auto wanted = rms_norm_oracle(plain);
  Normed normed{wanted["y"], wanted["sum"], c.operand("gamma").elements()};
  for (size_t i = 0; c.has("beta") && i < normed.rows.values.size(); ++i) {
    normed.rows.values[i] += c.operand("beta").at(static_cast<int64_t>(i) % normed.n);
    normed.rows.bounds[i] +=
        rounding(c.operand("x").dtype, normed.rows.values[i]) + kV * std::fabs(normed.rows.values[i]);
  }
  return normed;
}

double of_column(const Case& c, const std::string& name, int64_t column, double absent) {
  if (!c.has(name)) return absent;
  const Operand& o = c.operand(name);
  return o.at(o.elements() == 1 ? 0 : column);
}

Wanted quantised(const Case& c, const Normed& normed, const std::string& scale_name, const std::string& offset_name) {
  Wanted y;
  for (size_t i = 0; i < normed.rows.values.size(); ++i) {
    const auto column = static_cast<int64_t>(i) % normed.n;
    double scale = of_column(c, scale_name, column, 1);
    if (c.number("divide", 0) != 0) scale = 1 / scale;
    const double product = normed.rows.values[i] * scale, v = product + of_column(c, offset_name, column, 0);
    const double slack = normed.rows.bounds[i] * std::fabs(scale) + 0x1p-20 * (std::fabs(product) + std::fabs(v));
    push_rounded(y, v, -128, 127, slack);
  }
  return y;
}

void dynamic(const Case& c, const Normed& normed, const std::string& which, std::map<std::string, Wanted>& wanted) {
  const auto n = static_cast<size_t>(normed.n);
  for (size_t first = 0; n > 0 && first < normed.rows.values.size(); first += n) {
    std::vector<double> v, error;
    for (size_t i = 0; i < n; ++i) {
      const double smooth = of_column(c, "smooth" + which, static_cast<int64_t>(i), 1);
      v.push_back(normed.rows.values[first + i] * smooth);
      error.push_back(normed.rows.bounds[first + i] * std::fabs(smooth) + kV * std::fabs(v.back()));
    }
    double most = 0, drift = 0;
    for (size_t i = 0; i < n; ++i) most = std::max(most, std::fabs(v[i])), drift = std::max(drift, error[i]);
    const double scale = most / 127;
    wanted["row_scale" + which].values.push_back(scale);
    wanted["row_scale" + which].bounds.push_back(drift / 127 + 0x1p-22 * scale);
    for (size_t i = 0; i < n; ++i) {
      const double q = scale == 0 ? 0 : v[i] / scale;
      const double slack = scale == 0 ? 127 : (error[i] + std::fabs(q) * drift / 127) / scale * 1.05;
      push_rounded(wanted["y" + which], q, -128, 127, slack + 0x1p-20 * (std::fabs(q) + 127));
    }
  }
}

}  // namespace

std::map<std::string, Wanted> rms_norm_quant_oracle(const Case& c) {
  const Normed normed = norm_of(c);
  return {{"sum", normed.sum},
          {"norm", normed.rows},
          {"y1", quantised(c, normed, "scale1", "offset1")},
          {"y2", quantised(c, normed, "scale2", "offset2")}};
}

std::map<std::string, Wanted> rms_norm_dynamic_quant_oracle(const Case& c) {
  const Normed normed = norm_of(c);
  std::map<std::string, Wanted> wanted{{"sum", normed.sum}};
  dynamic(c, normed, "1", wanted);
  dynamic(c, normed, "2", wanted);
  return wanted;
}

// Exact: the word of each scale.
std::map<std::string, Wanted> trans_quant_param_oracle(const Case& c) {
  constexpr uint32_t kCut = 13;  // mantissa bits that the word has no room for
  Wanted y;
  for (int64_t i = 0; i < c.operand("scale").elements(); ++i) {
    auto bits = std::bit_cast<uint32_t>(static_cast<float>(c.operand("scale").at(i)));
    if (c.number("round", 0) != 0) {
      const uint32_t odd = (bits >> kCut) & 1;
      bits += (1u << (kCut - 1)) - 1 + odd;
    }
    const double offset = c.has("offset") ? std::nearbyint(c.operand("offset").at(i)) : 0;
    const auto held = static_cast<int64_t>(std::clamp(offset, -256.0, 255.0));
    const uint64_t word = (bits >> kCut << kCut) | uint64_t{1} << 46 | (static_cast<uint64_t>(held) & 0x1ff) << 37;
    y.values.push_back(static_cast<double>(word));
    y.bounds.push_back(0);
  }
  return {{"y", y}};
}

}  // namespace tandem::check
