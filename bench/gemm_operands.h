// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/data.h"
#include "bench/row.h"
#include "tandem/kernels/gemm.h"

namespace tandem::bench {

// Kind of product: types, layout, scales.
struct GemmKind {
  DType x = DType::none, w = DType::none;
  std::string layout;      // packed, row, transposed
  std::string offset;      // none, integer, real; weight-only products
  int64_t k = 0, n = 0;
  int64_t group = 0;       // k rows of one scale row; 0: a scale a column

  bool weight_only() const { return is_float(x) && !is_float(w); }
  bool integer() const { return !is_float(x); }
  std::string types() const;
  std::string detail() const;
};

// Weights, scales and activations of one kind. The weights of a call (with their scales) are one block of a pool.
class GemmOperands {
 public:
  GemmOperands(const GemmKind& kind, int64_t most_rows, size_t pool_bytes);

  const GemmKind& kind() const { return kind_; }
  Pool& pool() { return *pool_; }
  size_t weight_bytes() const { return weight_bytes_; }
  // The arguments of a product of m rows with the next block; y is the caller's.
  GemmArgs next(int64_t m);
  // The same on a sample of rows and columns, row-major: what the oracle sees.
  struct Sample {
    std::vector<int64_t> rows, columns;
    std::vector<const void*> x_rows;
    std::vector<float> token;
    Values w, scale, offset, dequant;
    GemmArgs args;
    std::vector<double> allowed;  // error of each element, rows x columns
    std::vector<float> exact, portable;
  };
  const Sample& sample(int64_t m, int leaves, Math math);

  const Values& x() const { return x_; }
  const Values& w() const { return w_; }  // row-major
  const Values& scale() const { return scale_; }
  const Values& offset() const { return offset_; }
  const Values& dequant() const { return dequant_; }

 private:
  void fill_all();
  void lay_out(size_t pool_bytes);
  Sample make_sample(int64_t m, int leaves, Math math) const;
  void gather(Sample& s) const;
  double allowed_error(const Sample& s, size_t row, size_t column, double exact) const;

  GemmKind kind_;
  int64_t most_rows_;
  Values x_, w_, scale_, offset_, dequant_, token_;
  size_t weight_bytes_ = 0, scale_at_ = 0, offset_at_ = 0;
  Weight view_;
  std::unique_ptr<Pool> pool_;
  std::map<std::string, Sample> samples_;
};

// Compares rows of n floats at y with the sample's oracle. `fast` leaves the exact bits out.
Verdict verify_gemm(const GemmOperands::Sample& sample, const float* y, int64_t n, bool compare_bits);

}  // namespace tandem::bench
