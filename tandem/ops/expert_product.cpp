// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/expert_product.h"

#include <fmt/format.h>

#include <algorithm>

#include "tandem/exec/memory.h"

namespace tandem {
namespace {

// Leaves of all (row, choice) pairs of a block stay below this; more rows are done in several blocks.
constexpr int64_t kLeafBytes = 16 << 20;

Status refused() { return fail(ErrorCode::out_of_memory, "mm_all_reduce: scratch of the experts was refused"); }

class Block {
 public:
  Block(const ExpertProduct& op, int64_t first, int64_t count, Lane& lane)
      : op_(op), first_(first), count_(count), pairs_(count * op.top_k), leaf_row_(op.product.leaves * op.product.n),
        lane_(lane), mark_(*lane.scratch) {}

  Status fill(float* leaves) {
    leaves_ = leaves;
    if (!take_scratch()) return refused();
    const auto* chosen = op_.expert.as<const int32_t>() + first_ * op_.top_k;
    for (int64_t pair = 0; pair < pairs_; ++pair) {
      if (chosen[pair] < 0) std::fill_n(leaves_ + pair * leaf_row_, leaf_row_, 0.0f);
    }
    for (size_t expert = 0; expert < op_.experts.size(); ++expert) run_expert(static_cast<int32_t>(expert));
    return {};
  }

  Status run(void* const* y_rows) {
    auto* leaves = lane_.scratch->take_array<float>(pairs_ * leaf_row_);
    if (leaves == nullptr) return refused();
    if (auto status = fill(leaves); !status) return status;
    for (int64_t pair = 0; pair < pairs_; ++pair) inputs_[pair] = leaves_ + pair * leaf_row_;
    CombineArgs combine;
    combine.m = count_;
    combine.n = op_.product.n;
    combine.leaves = op_.product.leaves;
    combine.terms = static_cast<int>(op_.top_k);
    combine.inputs = inputs_;
    combine.weights = op_.weight.as<const float>() + first_ * op_.top_k;
    combine.y_rows = reinterpret_cast<float* const*>(y_rows);
    op_.table->gemm.combine(combine, lane_);
    return {};
  }

 private:
  bool take_scratch() {
    inputs_ = lane_.scratch->take_array<const float*>(pairs_);
    x_rows_ = lane_.scratch->take_array<const void*>(pairs_);
    y_rows_ = lane_.scratch->take_array<void*>(pairs_);
    token_ = lane_.scratch->take_array<float>(pairs_);
    return inputs_ != nullptr && x_rows_ != nullptr && y_rows_ != nullptr && token_ != nullptr;
  }

  // One product per expert over the rows that chose it, gathered by pointer.
  void run_expert(int32_t expert) {
    const auto* chosen = op_.expert.as<const int32_t>() + first_ * op_.top_k;
    const auto* x = static_cast<const char*>(op_.product.x);
    int64_t rows = 0;
    for (int64_t pair = 0; pair < pairs_; ++pair) {
      if (chosen[pair] != expert) continue;
      x_rows_[rows] = x + (first_ * op_.top_k + pair) * op_.product.x_row_bytes;
      y_rows_[rows] = leaves_ + pair * leaf_row_;
      if (op_.token.present()) token_[rows] = op_.token.as<const float>()[first_ * op_.top_k + pair];
      ++rows;
    }
    if (rows == 0) return;
    GemmArgs args = op_.product;
    args.m = rows;
    args.x_rows = x_rows_;
    args.w = op_.experts[static_cast<size_t>(expert)];
    if (!op_.scale.empty()) args.dequant = op_.scale[static_cast<size_t>(expert)];
    if (op_.token.present()) args.token = token_;
    args.y_rows = y_rows_;
    args.y_dtype = DType::f32;
    args.split_leaves = true;
    op_.table->gemm.run(args, lane_);
  }

  const ExpertProduct& op_;
  const int64_t first_, count_, pairs_, leaf_row_;
  Lane& lane_;
  Scratch::Mark mark_;
  float *leaves_ = nullptr, *token_ = nullptr;
  const float** inputs_ = nullptr;
  const void** x_rows_ = nullptr;
  void** y_rows_ = nullptr;
};

Status check_choice(const ExpertProduct& op, int64_t first, int64_t count) {
  const auto* chosen = op.expert.as<const int32_t>();
  const auto known = static_cast<int32_t>(op.experts.size());
  int32_t above = -1;
  for (int64_t pair = first * op.top_k; pair < (first + count) * op.top_k; ++pair) {
    if (pair % op.top_k == 0) above = -1;
    if (chosen[pair] == -1) continue;
    const bool rises = chosen[pair] > above && chosen[pair] < known;
    if (rises) above = chosen[pair];
    if (rises) continue;
    return fail(ErrorCode::invalid_argument,
                fmt::format("mm_all_reduce: expert of row {} is {}, -1 or a value in [{}, {}] wanted (rising in a row)",
                            pair / op.top_k, chosen[pair], above + 1, known - 1));
  }
  return {};
}

}  // namespace

Status expert_leaves(const ExpertProduct& op, int64_t first, int64_t count, float* leaves, Lane& lane) {
  if (auto status = check_choice(op, first, count); !status) return status;
  return Block(op, first, count, lane).fill(leaves);
}

Status expert_product(const ExpertProduct& op, int64_t first, int64_t count, void* const* y_rows, Lane& lane) {
  if (auto status = check_choice(op, first, count); !status) return status;
  const int64_t row_bytes = op.top_k * op.product.leaves * op.product.n * static_cast<int64_t>(sizeof(float));
  const int64_t block_rows = std::max<int64_t>(1, kLeafBytes / std::max<int64_t>(1, row_bytes));
  for (int64_t done = 0; done < count; done += block_rows) {
    const int64_t rows = std::min(block_rows, count - done);
    if (auto status = Block(op, first + done, rows, lane).run(y_rows + done); !status) return status;
  }
  return {};
}

}  // namespace tandem
