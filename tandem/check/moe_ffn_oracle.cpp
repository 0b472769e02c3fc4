// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tandem/check/fused_oracle.h"
#include "tandem/check/moe_ffn_problem.h"

namespace tandem::moe_ffn_case {
namespace {

constexpr double kV = 0x1p-24;

// A value and how far it may be off.
struct Near {
  double value = 0, error = 0;
};

struct Gate {
  std::vector<int32_t> expert;
  std::vector<double> weight;
};

Gate gate_of(const Problem& p, const Data& data, int64_t row) {
  std::vector<double> logit(static_cast<size_t>(p.experts), 0);
  for (int64_t e = 0; e < p.experts; ++e) {
    for (int64_t i = 0; i < p.hidden; ++i) logit[static_cast<size_t>(e)] += data.x.at(row, i) * data.router.at(i, e);
  }
  std::vector<int32_t> order(logit.size());
  std::iota(order.begin(), order.end(), 0);
  const auto of = [&](int32_t e) { return logit[static_cast<size_t>(e)]; };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return of(a) > of(b); });
  double all = 0, chosen = 0;
  const double top = of(order[0]);
  for (const int32_t e : order) all += std::exp(of(e) - top);
  order.resize(static_cast<size_t>(p.top_k));
  for (const int32_t e : order) chosen += std::exp(of(e) - top);
  std::sort(order.begin(), order.end());
  Gate gate{order, {}};
  for (const int32_t e : order) gate.weight.push_back(std::exp(of(e) - top) / (p.normalise ? chosen : all));
  return gate;
}

// The formula of dynamic quantisation, whose steps are f32; where the nearest integer is not certain, what one more or
// less makes is part of the error.
std::vector<Near> quantised(std::vector<Near> row) {
  double most = 0, most_error = 0;
  for (const Near& v : row) most = std::max(most, std::fabs(v.value)), most_error = std::max(most_error, v.error);
  const double scale = static_cast<double>(static_cast<float>(most) / 127.0f);
  if (scale == 0) return row;
  const double scale_error = most_error / 127 + 2 * kV * scale;
  for (Near& v : row) {
    const double exact = static_cast<double>(static_cast<float>(v.value / scale)), whole = std::nearbyint(exact);
    const double slack = v.error / scale + std::fabs(exact) * (scale_error / scale + 2 * kV);
    const bool uncertain = v.error > 0 && std::fabs(std::fabs(exact - std::floor(exact)) - 0.5) <= slack;
    v.value = whole * scale;
    v.error = std::fabs(whole) * scale_error + (uncertain ? scale : 0);
  }
  return row;
}

// x @ weight * scale, with the errors of x and of f32 sums.
std::vector<Near> product(const std::vector<Near>& x, const Matrix& weight, const Matrix* scale) {
  std::vector<Near> y(static_cast<size_t>(weight.cols));
  const double chain = static_cast<double>(weight.rows + 32) * kV;
  for (int64_t c = 0; c < weight.cols; ++c) {
    Near& sum = y[static_cast<size_t>(c)];
    double magnitude = 0;
    for (int64_t i = 0; i < weight.rows; ++i) {
      const double w = weight.at(i, c) * (scale == nullptr ? 1 : scale->at(0, c));
      const Near& v = x[static_cast<size_t>(i)];
      sum.value += v.value * w;
      sum.error += v.error * std::fabs(w);
      magnitude += std::fabs(v.value * w);
    }
    sum.error += chain * magnitude;
  }
  return y;
}

void round_to(DType dtype, std::vector<Near>& row) {
  for (Near& v : row) v.error += fused::unit_roundoff(dtype) * (std::fabs(v.value) + v.error) + 0x1p-25;
}

double silu(double v) { return v / (1 + std::exp(-v)); }
double gelu(double v) { return v / (1 + std::exp(-2 * std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v))); }

// Derivatives of both are below 1.13 in magnitude.
std::vector<Near> activated(const Problem& p, const std::vector<Near>& hidden) {
  std::vector<Near> inner(static_cast<size_t>(p.inner));
  for (size_t i = 0; i < inner.size(); ++i) {
    const Near& gate = hidden[i];
    Near v{p.gated || p.activation == "silu" ? silu(gate.value) : gelu(gate.value), 1.13 * gate.error};
    v.error += 0x1p-20 * std::fabs(v.value);
    if (p.gated) {
      const Near& up = hidden[i + inner.size()];
      v = {v.value * up.value, v.error * (std::fabs(up.value) + up.error) + std::fabs(v.value) * up.error};
    }
    inner[i] = v;
  }
  return inner;
}

std::vector<Near> expert_of(const Problem& p, const Data& data, int64_t row, int32_t expert) {
  const auto e = static_cast<size_t>(expert);
  std::vector<Near> x;
  for (int64_t i = 0; i < p.hidden; ++i) x.push_back({data.x.at(row, i), 0});
  if (p.quantised) x = quantised(x);
  auto hidden = product(x, data.first[e], p.quantised ? &data.first_scale[e] : nullptr);
  round_to(p.dtype, hidden);
  auto inner = activated(p, hidden);
  round_to(p.dtype, inner);
  if (p.quantised) inner = quantised(inner);
  return product(inner, data.second[e], p.quantised ? &data.second_scale[e] : nullptr);
}

void limit(const Problem& p, std::vector<Gate>& gates, Result& choice) {
  choice.tokens.assign(static_cast<size_t>(p.experts), 0);
  for (Gate& gate : gates) {
    for (size_t j = 0; j < gate.expert.size(); ++j) {
      const int64_t before = choice.tokens[static_cast<size_t>(gate.expert[j])]++;
      if (p.capacity == 0 || before < p.capacity) continue;
      gate.expert[j] = -1;
      gate.weight[j] = 0;
      ++choice.dropped;
    }
  }
  const int64_t most = *std::max_element(choice.tokens.begin(), choice.tokens.end());
  choice.imbalance = static_cast<float>(static_cast<double>(most * p.experts) / static_cast<double>(p.rows * p.top_k));
}

}  // namespace

Wanted reference(const Problem& p, const Data& data) {
  Wanted wanted;
  std::vector<Gate> gates;
  for (int64_t row = 0; row < p.rows; ++row) gates.push_back(gate_of(p, data, row));
  limit(p, gates, wanted.choice);
  const double u = fused::unit_roundoff(p.dtype);
  for (int64_t row = 0; row < p.rows; ++row) {
    const Gate& gate = gates[static_cast<size_t>(row)];
    std::vector<Near> y(static_cast<size_t>(p.hidden));
    for (size_t j = 0; j < gate.expert.size(); ++j) {
      wanted.choice.expert.push_back(gate.expert[j]);
      wanted.weight.push_back(gate.weight[j]);
      if (gate.expert[j] < 0) continue;
      const auto part = expert_of(p, data, row, gate.expert[j]);
      for (size_t c = 0; c < y.size(); ++c) {
        y[c].value += gate.weight[j] * part[c].value;
        y[c].error += gate.weight[j] * (part[c].error + 0x1p-19 * std::fabs(part[c].value));
      }
    }
    for (const Near& v : y) {
      wanted.y.push_back(v.value);
      wanted.bound.push_back(1.05 * (v.error + u * (std::fabs(v.value) + v.error)) + 0x1p-24);
    }
  }
  return wanted;
}

std::string compare_wanted(const Problem& p, const Wanted& wanted, const Result& got) {
  if (got.expert != wanted.choice.expert) return "expert differs";
  if (got.tokens != wanted.choice.tokens) return "tokens differ";
  if (got.dropped != wanted.choice.dropped) return "dropped differs";
  if (got.imbalance != wanted.choice.imbalance) return "imbalance differs";
  for (size_t i = 0; i < wanted.weight.size(); ++i) {
    if (!(std::fabs(got.weight[i] - wanted.weight[i]) <= 0x1p-18))
      return fmt::format("weight[{}] = {}, {} wanted", i, got.weight[i], wanted.weight[i]);
  }
  return fused::compare(p.dtype, got.y, wanted.y, wanted.bound, p.rows > 1 && !p.quantised, "y");
}

}  // namespace tandem::moe_ffn_case
