// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bench/op/options.h"
#include "tandem/check/fused_group.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/device.h"
#include "tandem/exec/memory.h"
#include "tandem/ops/plan.h"

namespace tandem::bench::op {

// One rank's tensors of a problem. Weights and scales lie several times in memory, and every call takes the next.
class Operands {
 public:
  static Expected<std::unique_ptr<Operands>> make(const OpProblem& problem, const Communicator& comm,
                                                  size_t pool_bytes);

  const OpProblem& problem() const { return problem_; }
  const fused::RankData& data() const { return data_; }
  size_t copies() const { return weights_.size(); }
  // The operator on the copy: the parameter struct, and the plan of it.
  MmAllReduce call(size_t copy) const;
  Expected<Plan> plan_of(size_t copy, Device& device) const;
  // The product alone, rows of f32 to `rows`.
  GemmArgs product(size_t copy, void* const* rows) const;
  // Rows of the output this rank holds, and where.
  int64_t out_rows() const;
  fused::Outputs& out() { return call_.out; }
  const fused::Outputs& out() const { return call_.out; }
  // Tail of rows of f32 sums into `out`, which has the operator's output form.
  void tail(const void* const* sums, fused::Outputs& out, Lane& lane) const;
  // Weights as f32, row-major and dequantised, for other libraries.
  std::vector<float> plain_weight() const;
  std::vector<float> plain_x() const;

 private:
  Operands(OpProblem problem, const Communicator& comm)
      : problem_(std::move(problem)), rank_(comm.rank()), group_(comm.name()) {}
  Status place_weights(size_t pool_bytes);

  OpProblem problem_;
  int rank_;
  std::string group_;
  fused::RankData data_;
  mutable fused::Call call_;
  std::vector<Pages> weights_, scales_;
  std::vector<float> dequant_;
};

}  // namespace tandem::bench::op
