// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/trace.h"
#include "tandem/ops/mm_run.h"
#include "tandem/ops/planner.h"

// The product of a chunk in strips of columns; between two strips the rank looks whether the chunk before can be summed
// or finished. Each rank sums after a strip of its own, so that the others compute meanwhile. Signals and bits are
// those of MmRun::chunk(): ranks that overlap and ranks that do not may meet in one operator.
namespace tandem {
namespace {

void* offset_by(const void* data, DType dtype, int64_t elements) {
  return static_cast<std::byte*>(const_cast<void*>(data)) + dtype_bytes(dtype, elements);
}

Weight from_column(Weight w, int64_t k, int64_t column) {
  w.data = offset_by(w.data, w.dtype, w.panel != 0 ? column * k : column * w.stride_n);
  return w;
}

ScaleView from_column(ScaleView scale, int64_t column) {
  if (scale.data != nullptr) scale.data = offset_by(scale.data, scale.dtype, column * scale.stride_n);
  return scale;
}

}  // namespace

bool MmRun::overlaps() const {
  if (body_.overlap != Overlap::on || body_.chunks.buffers < 2 || body_.chunks.count() < 2) return false;
  if (body_.own_terms || body_.wire) return false;
  // Rows of further addends are exchanges of their own between the two halves.
  return ranks_ > 1 && (announced_ & (kLocalBiasRows | kLocalX3)) == 0;
}

void MmRun::strip(const MmChunk& chunk, int64_t first_column, int64_t columns) {
  const TraceSpan span(TraceKind::compute, "product", rank_, chunk.first_row);
  GemmArgs args = product_;
  args.m = chunk.count;
  args.n = columns;
  args.x = static_cast<const char*>(args.x) + chunk.first_row * args.x_row_bytes;
  args.w = from_column(args.w, body_.k, first_column);
  args.scale = from_column(args.scale, first_column);
  args.offset = from_column(args.offset, first_column);
  args.dequant = from_column(args.dequant, first_column);
  if (body_.token.present()) args.token = body_.token.as<const float>() + chunk.first_row;
  for (int64_t row = 0; row < chunk.count; ++row) targets_[row] = exchange_.slot_row(rank_, row) + first_column;
  args.y_rows = targets_;
  args.y_dtype = DType::f32;
  body_.table->gemm.run(args, lane_);
}

// One step of the pending chunk, whose exchange is `back` before the open one. Without `wait`, only where nobody has to
// be waited for.
Status MmRun::advance(bool wait, uint32_t back) {
  const auto finished = [&] {
    exchange_.close(back);
    pending_.index = -1;
    summed_ = false;
  };
  if (summed_) {
    if (!wait && !exchange_.results_there(back)) return {};
    if (auto status = exchange_.await_results(back); !status) return status;
    take_results(pending_);
    finished();
    return {};
  }
  if (!wait && !exchange_.slots_there(back)) return {};
  if (auto status = exchange_.await_slots(back); !status) return status;
  sum_partials(pending_.mine, back);
  if (body_.split == RowSplit::scattered) {
    auto status = scatter(pending_.first_row, pending_.mine);
    finished();
    return status;
  }
  put_results(pending_);
  exchange_.announce_results(pending_.index, pending_.mine, back);
  summed_ = true;
  return {};
}

// Finishes the pending chunk. Its exchange is the open one after the last product, else the one before.
Status MmRun::settle(bool last) {
  while (pending_.index >= 0) {
    if (auto status = advance(true, last ? 0 : 1); !status) return status;
  }
  return {};
}

Status MmRun::overlapped_chunk(int64_t index) {
  MmChunk chunk{index, index * body_.chunks.chunk_rows};
  chunk.count = std::min(body_.chunks.chunk_rows, body_.rows - chunk.first_row);
  chunk.mine = owned(chunk.first_row, chunk.count);
  if (auto status = exchange_.open(); !status) return status;
  const ColumnStrips strips = body_.top_k > 0 ? ColumnStrips{body_.n, 1} : column_strips(body_.n);
  const int64_t turn = strips.count * rank_ / (2 * ranks_);  // the second half is for finished rows
  for (int64_t i = 0; i < strips.count; ++i) {
    const int64_t first = i * strips.columns;
    if (body_.top_k > 0) {
      for (int64_t row = 0; row < chunk.count; ++row) targets_[row] = exchange_.slot_row(rank_, row);
      if (auto status = product(chunk.first_row, chunk.count, targets_); !status) return status;
    } else {
      strip(chunk, first, std::min(strips.columns, body_.n - first));
    }
    if (pending_.index < 0 || i < turn) continue;
    if (auto status = advance(false, 1); !status) return status;
  }
  inject_flip(exchange_.slot_row(rank_, 0));
  exchange_.announce_slot();
  if (auto status = settle(false); !status) return status;
  pending_ = chunk;
  return {};
}

}  // namespace tandem
