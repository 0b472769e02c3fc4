// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tandem/check/oracle.h"

namespace tandem::check {
namespace {

constexpr double kV = 0x1p-24;

double tiny_of(DType dtype) { return dtype == DType::f16 ? 0x1p-24 : dtype == DType::bf16 ? 0x1p-133 : 0x1p-149; }

// Element `index` of row g where one tensor holds all rows, or of tensor g of a list.
double part_at(const Case& c, const std::string& name, int64_t g, int64_t index, int64_t n, double absent) {
  if (!c.has(name)) return absent;
  const auto& list = c.operands.at(name);
  if (list.size() > 1) return list[static_cast<size_t>(g)].at(index);
  return list.front().dims.size() > 1 ? list.front().at(g * n + index) : list.front().at(index);
}

}  // namespace

// Only calls whose y is one tensor: the first list entry is what is compared.
std::map<std::string, Wanted> grouped_matmul_oracle(const Case& c) {
  const Operand &x = c.operand("x"), &w = c.operand("weight"), &y = c.operand("y");
  const bool stacked = w.dims.size() == 3, first_only = c.operands.at("y").size() > 1;
  const int64_t k = x.dims.back(), n = y.dims.back(), rows = y.elements() / n;
  const char* list = c.has("group") ? "group" : c.has("ends") ? "ends" : nullptr;
  Wanted wanted;
  int64_t g = 0, end = list == nullptr || first_only ? rows : static_cast<int64_t>(c.operand(list).at(0));
  for (int64_t row = 0; row < rows; ++row) {
    while (list != nullptr && !first_only && row >= end && g + 1 < c.operand(list).elements()) {
      const auto value = static_cast<int64_t>(c.operand(list).at(++g));
      end = c.number("counts", 0) != 0 ? end + value : value;
    }
    for (int64_t j = 0; j < n; ++j) {
      const double scale = part_at(c, "scale", g, j, n, 1), offset = part_at(c, "offset", g, j, n, 0);
      double sum = 0, magnitude = 0;
      for (int64_t i = 0; i < k; ++i) {
        const Operand& weight = stacked ? w : c.operands.at("weight")[static_cast<size_t>(g)];
        const double value = (weight.at((stacked ? g * k * n : 0) + i * n + j) + offset) * scale;
        sum += x.at(row * k + i) * value;
        magnitude += std::fabs(x.at(row * k + i) * value);
      }
      const double factor = part_at(c, "dequant", g, j, n, 1) * (c.has("token") ? c.operand("token").at(row) : 1);
      double value = sum * factor + part_at(c, "bias", g, j, n, 0);
      const double error =
          1.05 * (static_cast<double>(k + 32) * kV * (magnitude * std::fabs(factor) + std::fabs(value)));
      double steep = 1;
      if (c.number("act", 0) == 5) value = value / (1 + std::exp(-value)), steep = 1.2;
      const double u = unit_of(y.dtype);
      wanted.values.push_back(value);
      wanted.bounds.push_back(
          steep * (error + (steep > 1 ? 2.4 : 1.05) * u * (std::fabs(value) + (steep > 1 ? 1 : 0))) + tiny_of(y.dtype));
    }
  }
  return {{"y", wanted}};
}

std::map<std::string, Wanted> moe_gating_oracle(const Case& c) {
  const Operand& x = c.operand("x");
  const int64_t experts = x.dims.back(), rows = x.elements() / experts;
  const auto k = static_cast<int64_t>(c.number("top_k", 0));
  std::map<std::string, Wanted> wanted;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int64_t> order(static_cast<size_t>(experts));
    std::iota(order.begin(), order.end(), int64_t{0});
    const auto logit = [&](int64_t e) { return x.at(row * experts + e); };
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return logit(a) > logit(b); });
    double sum = 0, chosen = 0;
    const double top = logit(order[0]);
    for (int64_t e = 0; e < experts; ++e) sum += std::exp(logit(e) - top);
    for (int64_t j = 0; j < k; ++j) chosen += std::exp(logit(order[static_cast<size_t>(j)]) - top);
    const bool finished = c.has("finished") && c.operand("finished").at(row) != 0;
    for (int64_t j = 0; j < k; ++j) {
      const int64_t e = order[static_cast<size_t>(j)];
      const double value = std::exp(logit(e) - top) / (c.number("normalise", 0) != 0 ? chosen : sum);
      wanted["y"].values.push_back(value);
      wanted["y"].bounds.push_back((1.05 * unit_of(c.operand("y").dtype) + 0x1p-20) * value +
                                   tiny_of(c.operand("y").dtype));
      wanted["expert"].values.push_back(static_cast<double>(finished ? experts : e));
      wanted["expert"].bounds.push_back(0);
      wanted["row"].values.push_back(static_cast<double>(row + j * rows));
      wanted["row"].bounds.push_back(0);
    }
  }
  return wanted;
}

namespace {

// Where slot number p of the sorted slots lies in expanded_x, or -1: the order itself, or a part for each expert.
std::vector<int64_t> routed(const Case& c, const std::vector<int64_t>& order) {
  const auto capacity = static_cast<int64_t>(c.number("capacity", 0));
  std::vector<int64_t> places(order.size());
  int64_t first = 0;
  for (size_t p = 0; p < order.size(); ++p) {
    const auto position = static_cast<int64_t>(p);
    const auto id = c.operand("expert").at(order[p]);
    if (p > 0 && id != c.operand("expert").at(order[p - 1])) first = position;
    const int64_t in = position - first;
    places[p] = capacity == 0 ? position : in < capacity ? static_cast<int64_t>(id) * capacity + in : -1;
  }
  return places;
}

}  // namespace

std::map<std::string, Wanted> moe_init_oracle(const Case& c) {
  const Operand &x = c.operand("x"), &expert = c.operand("expert"), &expanded = c.operand("expanded_x");
  const int64_t n = x.dims[0], h = x.dims[1], k = expert.dims[1];
  std::vector<int64_t> order(static_cast<size_t>(n * k));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return expert.at(a) < expert.at(b); });
  const auto places = routed(c, order);
  std::map<std::string, Wanted> wanted;
  wanted["place"].values.resize(order.size());
  wanted["expanded_x"].values.resize(static_cast<size_t>(expanded.elements()));
  for (size_t p = 0; p < order.size(); ++p) {
    const int64_t slot = order[p], number = c.has("row") ? static_cast<int64_t>(c.operand("row").at(slot)) : slot;
    wanted["place"].values[static_cast<size_t>(number)] = static_cast<double>(places[p]);
    wanted["sorted_expert"].values.push_back(expert.at(slot));
    if (places[p] < 0 || (places[p] + 1) * h > expanded.elements()) continue;
    const int64_t source = c.has("row") ? number % n : slot / k;
    for (int64_t i = 0; i < h; ++i)
      wanted["expanded_x"].values[static_cast<size_t>(places[p] * h + i)] = x.at(source * h + i);
  }
  const auto ids = expert.values();
  for (int64_t e = 0; c.has("tokens") && e < c.operand("tokens").elements(); ++e) {
    const auto most = static_cast<double>(e), least = c.number("counts", 0) != 0 ? most : 0;
    const auto counted = [&](double id) { return id >= least && id <= most; };
    wanted["tokens"].values.push_back(static_cast<double>(std::count_if(ids.begin(), ids.end(), counted)));
  }
  for (auto& [name, one] : wanted) one.bounds.assign(one.values.size(), 0);
  return wanted;
}

std::map<std::string, Wanted> moe_finalize_oracle(const Case& c) {
  const Operand &y = c.operand("y"), &place = c.operand("place");
  const int64_t n = y.dims[0], h = y.dims[1], k = place.elements() / n;
  const auto of = [&](const char* name, int64_t index, double absent) {
    return c.has(name) ? c.operand(name).at(index) : absent;
  };
  Wanted wanted;
  for (int64_t i = 0; i < n * h; ++i) {
    double sum = of("skip1", i, 0) + of("skip2", i, 0),
           magnitude = std::fabs(of("skip1", i, 0)) + std::fabs(of("skip2", i, 0));
    for (int64_t j = 0; j < k; ++j) {
      const int64_t slot = i / h * k + j;
      const auto row = static_cast<int64_t>(place.at(c.number("row_major", 0) != 0 ? slot : j * n + i / h));
      double value = row < 0 ? 0 : c.operand("expanded").at(row * h + i % h);
      if (c.has("bias")) value += c.operand("bias").at(static_cast<int64_t>(c.operand("expert").at(slot)) * h + i % h);
      sum += of("scales", slot, 1) * value;
      magnitude += std::fabs(of("scales", slot, 1) * value);
    }
    wanted.values.push_back(sum);
    wanted.bounds.push_back(1.05 * (static_cast<double>(k + 8) * kV * magnitude + unit_of(y.dtype) * std::fabs(sum)) +
                            tiny_of(y.dtype));
  }
  return {{"y", wanted}};
}

}  // namespace tandem::check
