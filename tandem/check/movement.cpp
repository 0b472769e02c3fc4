// SPDX-License-Identifier: Apache-2.0
// Copies and gathers: random cases, and what they give.
#include <cstddef>
#include <functional>
#include <numeric>

#include "tandem/check/maker.h"
#include "tandem/check/oracle.h"

namespace tandem::check {
namespace {

using nlohmann::json;

const char* any_type(Maker& m) { return m.one_of({"f32", "f16", "bf16", "i8", "i32"}); }

json copy(Maker& m) {
  const std::string type = any_type(m);
  const Dims dims = m.dims(m.size());
  return {{"op", "copy"}, {"tensors", {{"x", m.input(type, dims, -9, 9)}, {"y", m.output(type, dims)}}}};
}

json gather(Maker& m) {
  const std::string type = any_type(m);
  const Dims dims{m.between(1, 4), m.between(1, 6), m.size()}, index{m.between(1, 3), m.between(1, 5)};
  const auto axis = static_cast<size_t>(m.between(0, 2));
  Dims result(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(axis));
  result.insert(result.end(), index.begin(), index.end());
  result.insert(result.end(), dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, dims.end());
  json numbers = m.plain(m.one_of({"i32", "i64"}), index, 0, 1);
  std::vector<int64_t> values;
  for (int64_t i = 0; i < index[0] * index[1]; ++i) values.push_back(m.between(0, dims[axis] - 1));
  numbers["values"] = values;
  return {{"op", "gather"},
          {"numbers", {{"axis", static_cast<int64_t>(axis) - (m.chance(30) ? 3 : 0)}}},
          {"tensors", {{"x", m.input(type, dims, -9, 9)}, {"index", numbers}, {"y", m.output(type, result)}}}};
}

}  // namespace

std::vector<Family> movement_families() { return {{"copy", copy}, {"gather", gather}}; }

std::map<std::string, Wanted> copy_oracle(const Case& c) {
  Wanted y{c.operand("x").values(), {}};
  y.bounds.assign(y.values.size(), 0);
  return {{"y", y}};
}

std::map<std::string, Wanted> gather_oracle(const Case& c) {
  const Operand &x = c.operand("x"), &index = c.operand("index");
  const auto rank = static_cast<int64_t>(x.dims.size());
  const auto axis = (static_cast<int64_t>(c.number("axis", 0)) + rank) % rank;
  const auto product = [&](int64_t first, int64_t last) {
    return std::accumulate(x.dims.begin() + first, x.dims.begin() + last, int64_t{1}, std::multiplies<>());
  };
  const int64_t outer = product(0, axis), inner = product(axis + 1, rank), entries = x.dims[static_cast<size_t>(axis)];
  Wanted y;
  for (int64_t i = 0; i < outer * index.elements() * inner; ++i) {
    const int64_t row = i / inner, number = static_cast<int64_t>(index.at(row % index.elements()));
    y.values.push_back(x.at((row / index.elements() * entries + number) * inner + i % inner));
  }
  y.bounds.assign(y.values.size(), 0);
  return {{"y", y}};
}

}  // namespace tandem::check
