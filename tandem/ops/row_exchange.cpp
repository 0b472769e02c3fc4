// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/row_exchange.h"

#include <fmt/format.h>

#include <algorithm>

#include "tandem/exec/trace.h"

namespace tandem {
namespace {

constexpr size_t kLine = 64;
// Up to here a second phase costs more than reading every partial on every rank.
constexpr int64_t kOneShotBytes = 64 * 1024;

constexpr size_t round_up(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

Expected<RowChunks> choose_chunks(int64_t rows, int64_t n, size_t result_row_bytes, size_t window_bytes) {
  RowChunks chunks{.rows = rows, .n = n};
  chunks.result_row_bytes = result_row_bytes;
  const size_t row_bytes = static_cast<size_t>(n) * sizeof(float) + result_row_bytes;
  const auto rows_that_fit = [&](int buffers) {
    const size_t alignment_loss = 2 * static_cast<size_t>(buffers) * kLine;
    if (window_bytes <= alignment_loss) return int64_t{0};
    return static_cast<int64_t>((window_bytes - alignment_loss) / (static_cast<size_t>(buffers) * row_bytes));
  };
  chunks.buffers = rows_that_fit(2) > 0 ? 2 : 1;
  chunks.chunk_rows = std::min(rows, rows_that_fit(chunks.buffers));
  if (rows > 0 && chunks.chunk_rows == 0) {
    return fail(ErrorCode::out_of_memory,
                fmt::format("window has {} bytes, {} wanted for one row of n = {} (raise TANDEM_WINDOW_MB, lift HCCL_BUFFSIZE)",
                            window_bytes, row_bytes + 2 * kLine, n));
  }
  limit_chunk_rows(chunks, chunks.chunk_rows);
  chunks.one_shot = rows <= chunks.chunk_rows && rows * n * static_cast<int64_t>(sizeof(float)) <= kOneShotBytes;
  return chunks;
}

void limit_chunk_rows(RowChunks& chunks, int64_t rows) {
  chunks.chunk_rows = std::min(chunks.chunk_rows, rows);
  chunks.slot_bytes = round_up(static_cast<size_t>(chunks.chunk_rows * chunks.n) * sizeof(float));
  chunks.result_bytes = round_up(static_cast<size_t>(chunks.chunk_rows) * chunks.result_row_bytes);
}

Status RowExchange::open() {
  ++step_;
  const auto buffers = static_cast<uint32_t>(chunks_.buffers);
  if (step_ <= buffers) return {};  // begin() has seen every rank leave the operator before this one
  return comm_.await_all(Signal::free, value() - buffers, "waiting for its window slot to be read");
}

float* RowExchange::slot_row(int rank, int64_t row, uint32_t back) const {
  const size_t slot = (step_ - back) % static_cast<uint32_t>(chunks_.buffers);
  std::byte* base = comm_.window(rank) + slot * chunks_.slot_bytes;
  return reinterpret_cast<float*>(base) + row * chunks_.n;
}

void RowExchange::announce_slot() {
  const TraceSpan span(TraceKind::publish, "partials", comm_.rank(), step_, chunks_.slot_bytes);
  comm_.lend(reinterpret_cast<const std::byte*>(slot_row(comm_.rank(), 0)), chunks_.slot_bytes);
  comm_.arrive(Signal::ready, value());
}

Status RowExchange::await_slots(uint32_t back) {
  return comm_.await_all(Signal::ready, value() - back, "waiting for rows");
}

Status RowExchange::publish_slot() {
  announce_slot();
  return comm_.await_all(Signal::ready, value(), "waiting for partial rows");
}

std::byte* RowExchange::result_row(int rank, int64_t chunk, int64_t row) const {
  const auto buffers = static_cast<size_t>(chunks_.buffers);
  const size_t buffer = static_cast<size_t>(chunk) % buffers;
  std::byte* base = comm_.window(rank) + buffers * chunks_.slot_bytes + buffer * chunks_.result_bytes;
  return base + static_cast<size_t>(row) * chunks_.result_row_bytes;
}

void RowExchange::announce_results(int64_t chunk, Range mine, uint32_t back) {
  const size_t bytes = static_cast<size_t>(mine.last - mine.first) * chunks_.result_row_bytes;
  const TraceSpan span(TraceKind::publish, "results", comm_.rank(), step_ - back, bytes);
  comm_.lend(result_row(comm_.rank(), chunk, mine.first), bytes);
  comm_.arrive(Signal::done, value() - back);
}

Status RowExchange::await_results(uint32_t back) {
  return comm_.await_all(Signal::done, value() - back, "waiting for finished rows");
}

Status RowExchange::publish_results(int64_t chunk, Range mine) {
  announce_results(chunk, mine);
  return await_results();
}

void RowExchange::close(uint32_t back) { comm_.arrive(Signal::free, value() - back); }

void RowExchange::finish() {
  // One-shot operators publish no results; every counter stays near base because they are compared by difference.
  if (step_ > 0) comm_.arrive(Signal::done, value());
  comm_.advance(step_);
}

RowExchange::Range RowExchange::owned(int rank, int64_t count) const {
  const int64_t size = comm_.size();
  return {count * rank / size, count * (rank + 1) / size};
}

int RowExchange::owner(int64_t row, int64_t count) const {
  // Inverse of owned(): the last rank whose first row is not behind `row`.
  const int64_t size = comm_.size();
  return static_cast<int>(((row + 1) * size - 1) / count);
}

}  // namespace tandem
