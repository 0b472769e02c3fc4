// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/check/fused_problem.h"
#include "tandem/kernels/gemm.h"

namespace tandem::bench::op {

// What `tandem bench op` was asked to measure.
struct OpOptions {
  std::string operation = "mm_all_reduce_add_rms_norm";
  std::vector<int64_t> m = {1, 8, 32, 128, 512}, k = {2048}, n = {4096};  // k of one rank
  std::vector<std::string> types = {"fp16", "int8", "int4-g128", "w8a8"};
  std::vector<std::string> maths = {"exact"};
  std::string layout = "row";  // packed, transposed
  bool offset = false;         // zero points
  bool replicated = false;     // all ranks hold the same residual
  int rounds = 5;
  double visit = 0.02;    // seconds of one contender in one round
  int64_t pool_mb = 208;  // of weights of all ranks together, so that they come from memory
  std::string peer, peer_folder;
  std::vector<std::string> gemms = {"openblas", "onednn2", "onednn3"};
  std::string replay;  // a verbose line; takes the place of shapes and types
  bool progress = false, spoil = false;
};

enum class OpKind : uint8_t { all_reduce, reduce_scatter, all_gather };

// One row of the table.
struct OpProblem {
  std::string operation, type, layout = "row";
  OpKind kind = OpKind::all_reduce;
  Math math = Math::exact;
  fused::Problem data;  // of all_gather: one rank's, with all rows
  int ranks = 2;

  int64_t first_row(int rank) const { return data.m * rank / ranks; }
  int64_t rows_of(int rank) const { return first_row(rank + 1) - first_row(rank); }
  double flops() const {
    return 2.0 * static_cast<double>(data.m) * static_cast<double>(data.n) * static_cast<double>(data.k);
  }
  double weight_bytes() const;        // with its scales
  double communicated_bytes() const;  // that a rank has to read of others, at least
};

// What is wrong with the words in them, or nothing.
std::string complaint_about(const OpOptions& options);
std::vector<OpProblem> problems_of(const OpOptions& options, int ranks);
// The call a verbose line tells of, and its number of ranks.
Expected<OpProblem> problem_of_line(std::string_view line);

}  // namespace tandem::bench::op
