// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/lane.h"

// Rows of f32 partials summed over ranks through the symmetric window, chunk by chunk.
//
//   window of a rank:  | slot 0 | slot 1 | result 0 | result 1 |      slot: chunk_rows * n f32
//                                                                     result: chunk_rows * result_row_bytes
// Exchange e (counted from 1 in an operator) uses slot e % buffers. A rank writes it once all peers freed exchange
// e - buffers, publishes `ready`, and frees it when it has read what it needs of its peers' slots.
namespace tandem {

// Geometry and algorithm; follows from fingerprint values and the window size alone.
struct RowChunks {
  int64_t rows = 0;        // of the whole operator
  int64_t n = 0;
  int64_t chunk_rows = 0;  // h
  int buffers = 2;
  bool one_shot = false;   // every rank sums all rows; no second phase
  size_t slot_bytes = 0, result_bytes = 0, result_row_bytes = 0;

  int64_t count() const { return chunk_rows == 0 ? 0 : (rows + chunk_rows - 1) / chunk_rows; }
};

// Fails with out_of_memory when not even one row fits. result_row_bytes 0: no second phase.
Expected<RowChunks> choose_chunks(int64_t rows, int64_t n, size_t result_row_bytes, size_t window_bytes);

// The same with at most `rows` rows in a chunk.
void limit_chunk_rows(RowChunks& chunks, int64_t rows);

class RowExchange {
 public:
  RowExchange(Communicator& communicator, const RowChunks& chunks) : comm_(communicator), chunks_(chunks) {}

  // Opens the next exchange: waits until this rank's slot may be overwritten.
  Status open();
  // Row `row` of the slot of `rank`, of the open exchange or the one `back` before it.
  float* slot_row(int rank, int64_t row, uint32_t back = 0) const;
  // Tells the peers this rank's slot is filled and waits for theirs.
  Status publish_slot();
  // The same in two steps.
  void announce_slot();
  Status await_slots(uint32_t back = 0);
  // Row `row` of the chunk's result area of `rank`; results alternate by chunk.
  std::byte* result_row(int rank, int64_t chunk, int64_t row) const;
  // This rank needs the peers' slots and results of the open exchange, or the one `back` before it, no more.
  void close(uint32_t back = 0);
  // Ends the operator for this rank.
  void finish();

  // Rows of a chunk of `count` rows that `rank` owns: [first, last).
  struct Range {
    int64_t first, last;
  };
  Range owned(int rank, int64_t count) const;
  // Tells the peers that this rank's results, rows `mine` of the chunk, are written and waits for theirs.
  Status publish_results(int64_t chunk, Range mine);
  // The same in two steps.
  void announce_results(int64_t chunk, Range mine, uint32_t back = 0);
  Status await_results(uint32_t back = 0);
  // Whether await_slots() or await_results() would return at once.
  bool slots_there(uint32_t back) const { return comm_.all_reached(Signal::ready, value() - back); }
  bool results_there(uint32_t back) const { return comm_.all_reached(Signal::done, value() - back); }
  int owner(int64_t row, int64_t count) const;

 private:
  uint32_t value() const { return comm_.base() + step_; }

  Communicator& comm_;
  const RowChunks& chunks_;
  uint32_t step_ = 0;
};

}  // namespace tandem
