// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/mm_run.h"

// mm_all_reduce with int8 between the ranks: each rank rounds its partial, the owner of a row rounds the sum.
namespace tandem {

Status MmRun::prepare_wire() {
  if (!body_.wire) return {};
  const int64_t n = body_.n, h = body_.chunks.chunk_rows;
  wire_first_ = array<float>(n);
  wire_second_ = array<float>(n);
  wire_ratio_ = array<float>(n);
  wire_rows_ = array<std::byte>(h * body_.wire_pitch());
  const bool complete =
      wire_first_ != nullptr && wire_second_ != nullptr && wire_ratio_ != nullptr && wire_rows_ != nullptr;
  if (!complete) return refused("the rows of int8");
  const Int8Wire& wire = *body_.wire;
  body_.table->reduce.cast({n, wire.first.data, wire.first.dtype, wire_first_, DType::f32}, lane_);
  body_.table->reduce.cast({n, wire.second.data, wire.second.dtype, wire_second_, DType::f32}, lane_);
  for (int64_t c = 0; c < n; ++c) wire_ratio_[c] = wire_first_[c] / wire_second_[c];
  return {};
}

// Rows of f32, divided by the scale or multiplied with it, as int8.
void MmRun::to_wire(const float* rows, int64_t count, const float* scale, bool divide, std::byte* to) {
  QuantizeArgs args;
  args.rows = count;
  args.n = body_.n;
  args.x = rows;
  args.x_row_bytes = body_.n * static_cast<int64_t>(sizeof(float));
  args.x_dtype = DType::f32;
  args.scale = {scale, DType::f32, false};
  args.divide = divide;
  args.y = to;
  args.y_row_bytes = body_.wire_pitch();
  if (count > 0) body_.table->quant.quantize(args, lane_);
}

// And back; without a scale the whole numbers themselves.
void MmRun::from_wire(const std::byte* rows, int64_t count, const float* scale, float* to) {
  DequantizeArgs args;
  args.rows = count;
  args.n = body_.n;
  args.x = rows;
  args.x_row_bytes = body_.wire_pitch();
  args.x_dtype = DType::i8;
  if (scale != nullptr) args.scale = {scale, DType::f32, false};
  args.y = to;
  args.y_row_bytes = body_.n * static_cast<int64_t>(sizeof(float));
  args.y_dtype = DType::f32;
  if (count > 0) body_.table->quant.dequantize(args, lane_);
}

// a of the rows that this rank owns. Sums of whole numbers below 2^24 are exact in f32.
Status MmRun::wire_sum(RowExchange::Range mine, std::byte* to) {
  const int64_t owned = mine.last - mine.first, n = body_.n;
  if (owned == 0) return {};
  Scratch::Mark mark(*lane_.scratch);
  auto* rows = array<float>(ranks_ * owned * n);
  if (rows == nullptr) return refused("the rows of the ranks");
  for (int rank = 0; rank < ranks_; ++rank) {
    const auto* q = ranks_ == 1 ? wire_rows_ : reinterpret_cast<const std::byte*>(exchange_.slot_row(rank, mine.first));
    from_wire(q, owned, nullptr, rows + rank * owned * n);
  }
  for (int64_t row = 0; row < owned; ++row) sum_rows_[row] = rows + row * n;
  for (int64_t row = 0; row < ranks_ * owned; ++row) inputs_[row] = rows + row * n;
  SumRowsArgs args;
  args.rows = owned;
  args.n = n;
  args.ranks = ranks_;
  args.inputs = inputs_;
  args.y_rows = sum_rows_;
  if (ranks_ > 1) body_.table->reduce.sum_rows(args, lane_);
  to_wire(rows, owned, wire_ratio_, false, to);
  return {};
}

Status MmRun::wire_chunk(int64_t index) {
  const int64_t first_row = index * body_.chunks.chunk_rows;
  const int64_t count = std::min(body_.chunks.chunk_rows, body_.rows - first_row);
  const bool alone = ranks_ == 1, everywhere = alone || body_.chunks.one_shot;
  const RowExchange::Range mine = owned(first_row, count);
  if (!alone) {
    if (auto status = exchange_.open(); !status) return status;
  }
  for (int64_t row = 0; row < count; ++row) targets_[row] = sums_ + row * body_.n;
  if (auto status = product(first_row, count, targets_); !status) return status;
  for (int64_t row = 0; row < count; ++row) sum_rows_[row] = sums_ + row * body_.n;
  if (auto status = add_own_terms(first_row, count); !status) return status;
  to_wire(sums_, count, wire_first_, true,
          alone ? wire_rows_ : reinterpret_cast<std::byte*>(exchange_.slot_row(rank_, 0)));
  if (!alone) {
    if (auto status = exchange_.publish_slot(); !status) return status;
  }
  std::byte* own = everywhere ? wire_rows_ : exchange_.result_row(rank_, index, mine.first);
  if (auto status = wire_sum(mine, own); !status) return status;
  if (everywhere) {
    from_wire(wire_rows_, count, wire_second_, sums_);
  } else {
    if (auto status = exchange_.publish_results(index, mine); !status) return status;
    for (int rank = 0; rank < ranks_; ++rank) {
      const RowExchange::Range part = exchange_.owned(rank, count);
      from_wire(exchange_.result_row(rank, index, part.first), part.last - part.first, wire_second_,
                sums_ + part.first * body_.n);
    }
  }
  for (int64_t row = 0; row < count; ++row) finished_[row] = sums_ + row * body_.n;
  tail_into_outputs(first_row, count);
  if (!alone) exchange_.close();
  return {};
}

}  // namespace tandem
