// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/moe_ffn_problem.h"

#include <fmt/format.h>

#include <cstring>

#include "tandem/check/fused_problem.h"

namespace tandem::moe_ffn_case {
namespace {

DType dtype_of(const std::string& name) {
  if (name == "f32") return DType::f32;
  return name == "bf16" ? DType::bf16 : DType::f16;
}

// A number in [-1, 1) that depends on its arguments alone.
double draw(uint64_t seed, uint64_t name, uint64_t index) {
  uint64_t z = seed * 0x9e3779b97f4a7c15u + name * 0xbf58476d1ce4e5b9u + index * 0x94d049bb133111ebu;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-52 - 1;
}

Matrix drawn(DType dtype, int64_t rows, int64_t cols, uint64_t seed, uint64_t name, double scale, double offset = 0) {
  Matrix matrix(dtype, rows, cols);
  for (int64_t i = 0; i < rows * cols; ++i) {
    const double value = offset + scale * draw(seed, name, static_cast<uint64_t>(i));
    matrix.set(i / cols, i % cols, dtype == DType::i8 ? static_cast<double>(static_cast<int>(value)) : value);
  }
  return matrix;
}

}  // namespace

double Matrix::at(int64_t row, int64_t col) const { return fused::load(dtype, bytes.data(), row * cols + col); }
void Matrix::set(int64_t row, int64_t col, double value) { fused::store(dtype, bytes.data(), row * cols + col, value); }

Matrix Matrix::part(int64_t r0, int64_t r1, int64_t c0, int64_t c1) const {
  Matrix some(dtype, r1 - r0, c1 - c0);
  const auto bytes_of = [&](int64_t count) { return dtype_bytes(dtype, count); };
  for (int64_t row = r0; row < r1 && c1 > c0; ++row) {
    std::memcpy(some.bytes.data() + bytes_of((row - r0) * (c1 - c0)), bytes.data() + bytes_of(row * cols + c0),
                bytes_of(c1 - c0));
  }
  return some;
}

Matrix beside(const Matrix& left, const Matrix& right) {
  Matrix both(left.dtype, left.rows, left.cols + right.cols);
  for (int64_t row = 0; row < left.rows; ++row) {
    for (int64_t col = 0; col < both.cols; ++col)
      both.set(row, col, col < left.cols ? left.at(row, col) : right.at(row, col - left.cols));
  }
  return both;
}

std::string Problem::describe() const {
  return fmt::format("{}: {} rows {} h {} f {} experts {} top_k {} {}{} {} capacity {}{}", name, dtype_name(dtype),
                     rows, hidden, inner, experts, top_k, quantised ? "i8 " : "", gated ? "gated" : activation,
                     normalise ? "normalised" : "plain", capacity, pad ? " padded" : "");
}

Problem parse_problem(const nlohmann::json& json, const Problem& base) {
  Problem p = base;
  p.name = json.value("name", p.name);
  p.rows = json.value("rows", p.rows);
  p.hidden = json.value("hidden", p.hidden);
  p.inner = json.value("inner", p.inner);
  p.experts = json.value("experts", p.experts);
  p.top_k = json.value("top_k", p.top_k);
  p.capacity = json.value("capacity", p.capacity);
  if (json.contains("dtype")) p.dtype = dtype_of(json.at("dtype"));
  p.quantised = json.value("quantised", p.quantised);
  p.gated = json.value("gated", p.gated);
  p.normalise = json.value("normalise", p.normalise);
  p.pad = json.value("pad", p.pad);
  p.activation = json.value("activation", p.activation);
  p.skew = json.value("skew", p.skew);
  p.seed = json.value("seed", p.seed);
  return p;
}

std::vector<Problem> members(const nlohmann::json& family) {
  nlohmann::json first = family.value("set", nlohmann::json::object());
  first["name"] = family.at("name");
  std::vector<nlohmann::json> all{first};
  const nlohmann::json cross = family.value("cross", nlohmann::json::object());
  for (const auto& [key, values] : cross.items()) {
    std::vector<nlohmann::json> next;
    for (const nlohmann::json& member : all) {
      for (const nlohmann::json& value : values) next.push_back(member), next.back()[key] = value;
    }
    all = std::move(next);
  }
  std::vector<Problem> problems;
  for (const nlohmann::json& member : all) problems.push_back(parse_problem(member));
  return problems;
}

Data make_data(const Problem& p) {
  Data data;
  data.x = drawn(p.dtype, p.rows, p.hidden, p.seed, 1, 1);
  data.router = drawn(p.dtype, p.hidden, p.experts, p.seed, 2, 0.5);
  // A constant column of x times the router's first row: expert 0's logit grows by skew.
  for (int64_t row = 0; row < p.rows; ++row) data.x.set(row, 0, 1);
  if (p.experts > 0) data.router.set(0, 0, data.router.at(0, 0) + p.skew);
  for (int64_t e = 0; e < p.experts; ++e) {
    const auto name = static_cast<uint64_t>(16 + 4 * e);
    const DType weight = p.quantised ? DType::i8 : p.dtype;
    const double range = p.quantised ? 128 : 0.25;
    data.first.push_back(drawn(weight, p.hidden, p.width(), p.seed, name, range));
    data.second.push_back(drawn(weight, p.inner, p.hidden, p.seed, name + 1, range));
    if (!p.quantised) continue;
    data.first_scale.push_back(drawn(DType::f32, 1, p.width(), p.seed, name + 2, 0.001, 0.002));
    data.second_scale.push_back(drawn(DType::f32, 1, p.hidden, p.seed, name + 3, 0.001, 0.002));
  }
  return data;
}

}  // namespace tandem::moe_ffn_case
