// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "tandem/ops/mm_run.h"

// all_gather_mm: rows of x1 travel through the window chunk by chunk; the own rows are computed while peers' arrive.
namespace tandem {
// Rows of the chunk into this rank's slot, each with its token scale behind it.
void MmRun::fill_slot(int64_t first, int64_t count) {
  const auto bytes = static_cast<size_t>(product_.x_row_bytes);
  for (int64_t row = 0; row < count; ++row) {
    float* target = exchange_.slot_row(rank_, row);
    std::memcpy(target, static_cast<const std::byte*>(product_.x) + static_cast<size_t>(first + row) * bytes, bytes);
    if (body_.token.present()) target[body_.chunks.n - 1] = body_.token.as<const float>()[first + row];
  }
}

Status MmRun::add_own_bias(int64_t count, const float* token) {
  if (!body_.bias.present()) return {};
  if (token == nullptr || is_float(body_.bias.dtype)) {
    const SumRowsArgs args{count, body_.n, 1, inputs_, 1, biases_, sum_rows_};
    for (int64_t row = 0; row < count; ++row) inputs_[row] = sum_rows_[row];
    body_.table->reduce.sum_rows(args, lane_);
    return {};
  }
  Scratch::Mark mark(*lane_.scratch);
  float* rows = array<float>(body_.n);
  if (rows == nullptr) return refused("a bias");
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t c = 0; c < body_.n; ++c) rows[c] = bias_[c] * token[row];
    const void* addend = rows;
    body_.table->reduce.add_rows({1, body_.n, sum_rows_ + row, &addend, DType::f32}, lane_);
  }
  return {};
}

Status MmRun::gathered_block(const GatheredRows& rows) {
  for (int64_t row = 0; row < rows.count; ++row) {
    sum_rows_[row] = sums_ + row * body_.n;
    targets_[row] = sum_rows_[row];
    finished_[row] = sum_rows_[row];
  }
  GemmArgs args = product_;
  args.m = rows.count;
  args.x = rows.x;
  args.x_row_bytes = rows.pitch;
  args.token = rows.token;
  args.y_rows = targets_;
  args.y_dtype = DType::f32;
  body_.table->gemm.run(args, lane_);
  if (auto status = add_own_bias(rows.count, rows.token); !status) return status;
  tail_into_outputs(rows.row, rows.count);
  if (!body_.gathered.present()) return {};
  for (int64_t row = 0; row < rows.count; ++row) {
    std::memcpy(operand_row(body_.gathered, rows.row + row, body_.k), rows.x + row * rows.pitch,
                static_cast<size_t>(product_.x_row_bytes));
  }
  return {};
}

// What one rank has in a chunk, block by block. The own rows are read where they are.
Status MmRun::gathered_part(int rank, int64_t index) {
  const int64_t first = index * body_.chunks.chunk_rows;
  const int64_t count = std::min(body_.chunks.chunk_rows, body_.count(rank) - first);
  if (count <= 0) return {};
  const bool own = rank == rank_;
  const int64_t pitch = own ? product_.x_row_bytes : body_.chunks.n * static_cast<int64_t>(sizeof(float));
  const auto* x = own ? static_cast<const std::byte*>(product_.x) + first * pitch
                      : reinterpret_cast<const std::byte*>(exchange_.slot_row(rank, 0));
  const int64_t block = gather_block(body_);
  for (int64_t at = 0; at < count; at += block) {
    GatheredRows rows{body_.start(rank) + first + at, std::min(block, count - at), x + at * pitch, pitch, nullptr};
    if (body_.token.present()) {
      rows.token = own ? body_.token.as<const float>() + first + at : tokens_;
      for (int64_t row = 0; !own && row < rows.count; ++row)
        tokens_[row] = exchange_.slot_row(rank, at + row)[body_.chunks.n - 1];
    }
    if (auto status = gathered_block(rows); !status) return status;
  }
  return {};
}

Status MmRun::gather_chunk(int64_t index) {
  if (ranks_ == 1) return gathered_part(rank_, index);
  const int64_t first = index * body_.chunks.chunk_rows;
  if (auto status = exchange_.open(); !status) return status;
  fill_slot(first, std::clamp(body_.count(rank_) - first, int64_t{0}, body_.chunks.chunk_rows));
  exchange_.announce_slot();
  if (auto status = gathered_part(rank_, index); !status) return status;
  if (auto status = exchange_.await_slots(); !status) return status;
  for (int step = 1; step < ranks_; ++step) {
    if (auto status = gathered_part((rank_ + step) % ranks_, index); !status) return status;
  }
  exchange_.close();
  return {};
}

Status MmRun::gather_rows() {
  if (body_.bias.present()) {
    write_bias(bias_);
    biases_[bias_count_++] = bias_;
  }
  for (int64_t index = 0; index < body_.chunks.count(); ++index) {
    if (auto status = gather_chunk(index); !status) return status;
  }
  return end();
}

}  // namespace tandem
