// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/ops/moe_ffn.h"

// A case of moe_ffn as data, and its operands. Values depend on names and global indices only, so that the parts of
// ranks are parts of one problem.
namespace tandem::moe_ffn_case {

struct Problem {
  std::string name;
  int64_t rows = 13, hidden = 40, inner = 64, experts = 6, top_k = 2, capacity = 0;
  DType dtype = DType::f16;
  bool quantised = false, gated = true, normalise = true, pad = false;
  std::string activation = "silu";
  double skew = 0;  // added to the logits of expert 0: how uneven the load is
  uint64_t seed = 1;

  int64_t width() const { return gated ? 2 * inner : inner; }
  std::string describe() const;
};
Problem parse_problem(const nlohmann::json& json, const Problem& base = {});
// Every member of a family: its "set" crossed with its lists.
std::vector<Problem> members(const nlohmann::json& family);

// A row-major matrix in memory.
struct Matrix {
  DType dtype = DType::none;
  int64_t rows = 0, cols = 0;
  std::vector<std::byte> bytes;

  Matrix() = default;
  Matrix(DType type, int64_t r, int64_t c) : dtype(type), rows(r), cols(c), bytes(dtype_bytes(type, r * c)) {}
  double at(int64_t row, int64_t col) const;
  void set(int64_t row, int64_t col, double value);
  // Rows [r0, r1) and columns [c0, c1).
  Matrix part(int64_t r0, int64_t r1, int64_t c0, int64_t c1) const;
  TensorView view() { return make_tensor(bytes.data(), dtype, {rows, cols}); }
  TensorView flat() { return make_tensor(bytes.data(), dtype, {rows * cols}); }
};
// Columns of `left`, then those of `right`.
Matrix beside(const Matrix& left, const Matrix& right);

struct Data {
  Matrix x, router;
  std::vector<Matrix> first, second, first_scale, second_scale;
};
Data make_data(const Problem& problem);

// What ranks find afterwards, rows of all of them in rank order.
struct Result {
  std::vector<std::byte> y;
  std::vector<int32_t> expert;
  std::vector<float> weight;
  std::vector<int64_t> tokens;
  int64_t dropped = 0;
  float imbalance = 0;
  bool operator==(const Result&) const = default;
};

// In double, from the stored inputs; y with how far f32 arithmetic may lie from it.
struct Wanted {
  Result choice;  // without y
  std::vector<double> y, bound, weight;
};
Wanted reference(const Problem& problem, const Data& data);
// "" or the first thing of a result that is not as wanted.
std::string compare_wanted(const Problem& problem, const Wanted& wanted, const Result& got);

}  // namespace tandem::moe_ffn_case
