// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/base/tensor.h"

// A case of the fused operator as data, and the stored inputs made from it. Values depend on names and on indices of
// the global problem only, so a problem split over 1, 2, 4 or 8 ranks is the same problem.
namespace tandem::fused {

// Values of one tensor in row-major order of its logical matrix, used cyclically; `by_rank` adds the rank's number.
struct Fill {
  std::vector<double> cycle;
  bool by_rank = false;
};

struct Problem {
  int ranks = 2;
  int64_t m = 16, k = 64, n = 32;  // k of one rank
  DType dtype = DType::f16;        // x1
  DType output = DType::f16;       // bias, scale, offset, x3, residual, gamma, y, norm
  DType weight = DType::i8;
  DType scale_dtype = DType::none;  // none = output
  std::string scales = "channel";   // none, tensor, channel, group
  int64_t group = 0;
  bool transposed = false;        // x2
  bool scale_transposed = false;  // group scales and offsets
  bool offset = true;
  bool token = false;        // int8 x int8
  std::string bias = "all";  // none, first (rank 0 only), all
  std::string x3 = "none";
  std::string reduction = "sum";
  bool wire = false;         // int8 between ranks: first, second
  std::string quant = "none";  // of the norm: static (qscale, qoffset) or dynamic (smooth)
  bool tail = true;
  bool replicated = false;
  double epsilon = 1e-6;
  uint64_t seed = 1;
  std::map<std::string, Fill> values;

  // Bias and x3 belong to the partial of their rank.
  bool own_terms() const { return wire || reduction != "sum"; }
  bool integer() const { return dtype == DType::i8; }
  int64_t groups() const { return scales == "group" ? (k + group - 1) / group : 1; }
  std::string describe() const;
};

// Fields present in `json` replace those of `base`. "total_k" is the k of all ranks together.
Problem parse_problem(const nlohmann::json& json, const Problem& base = {});

// One operand in memory: a logical matrix (vectors are one row) with strides in elements.
struct Stored {
  DType dtype = DType::none;
  int64_t rows = 0, cols = 0;
  int64_t row_step = 0, col_step = 0;
  std::vector<std::byte> bytes;

  bool present() const { return dtype != DType::none; }
  bool transposed() const { return row_step < col_step; }
  double at(int64_t row, int64_t col) const;
  // The view with those dims; the memory must be row-major unless `dims` is the matrix itself.
  TensorView view(std::initializer_list<int64_t> dims) const;
};

// Operands of one rank by name: x1 x2 scale offset token bias x3 first second residual gamma
// qscale qoffset smooth.
using RankData = std::map<std::string, Stored>;

RankData make_rank(const Problem& problem, int rank);
std::vector<RankData> make_ranks(const Problem& problem);
const Stored& operand(const RankData& data, const std::string& name);

// Element `index` of memory of that type, and the value an i64 dequantisation scale stands for.
double load(DType dtype, const std::byte* bytes, int64_t index);
void store(DType dtype, std::byte* bytes, int64_t index, double value);

}  // namespace tandem::fused
