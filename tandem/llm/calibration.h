// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tandem/exec/lane.h"
#include "tandem/llm/config.h"
#include "tandem/llm/rope_table.h"
#include "tandem/llm/rounding.h"

// The parts of one decoder layer in f32 over all calibration texts at once, for tools that hold one layer at a time.
namespace tandem {

struct KernelTable;

// Where texts lie in the rows of a matrix: text t is rows [starts[t], starts[t + 1]).
using TextStarts = std::vector<int64_t>;

// The router's choice: top_k experts (rising) and weights for each row.
struct Routing {
  std::vector<int32_t> expert;
  std::vector<float> weight;
};

class LayerMath {
 public:
  LayerMath(const ModelConfig& config, const RopeTable& rope, Lane& lane);

  // x (rows, k) with weight (n, k), and a bias [n] or nothing.
  Matrix multiply(const Matrix& x, const Matrix& weight, std::span<const float> bias = {}) const;
  // Integers of x by `range`, times the weight's: the values a static layer gives, without its bias.
  Matrix multiply_static(const Matrix& x, const Range8& range, const RoundedWeight& weight) const;
  // Each row of x by its own scale.
  Matrix multiply_dynamic(const Matrix& x, const RoundedWeight& weight) const;
  Matrix norm(const Matrix& x, std::span<const float> gamma, int64_t heads = 1) const;
  // Attention of query, key and value rows, rotated here.
  Matrix attend(Matrix query, Matrix key, const Matrix& value, const TextStarts& starts) const;
  Matrix swiglu(const Matrix& gate, const Matrix& up) const;
  Routing route(const Matrix& logits) const;

 private:
  Matrix multiply_integers(const std::vector<int8_t>& x, int64_t rows, const float* token, const RoundedWeight& weight,
                           float factor) const;
  void rotate(Matrix& x, int64_t heads, const std::vector<int64_t>& positions) const;

  const ModelConfig& c_;
  const RopeTable& rope_;
  Lane& lane_;
  const KernelTable& kernels_;
};

// Mean of squares of the difference.
double mean_square(const Matrix& a, const Matrix& b);

}  // namespace tandem
