// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>

#include "tandem/ops/row_exchange.h"

// What a product between ranks chooses, and the model of cost behind it (docs/planner.md). No choice changes a bit.
namespace tandem {

// What the choice of chunks may depend on: values of the fingerprint and facts of the communicator, alike on all ranks.
struct ChunkFacts {
  int64_t rows = 0, n = 0;
  int ranks = 1;
  bool several_hosts = false;
  bool hides = false;           // communication can hide behind the next chunk's product
  size_t result_row_bytes = 0;  // 0: nothing is published in a second phase
  size_t window_bytes = 0;
};
// Fails with out_of_memory when not even one row fits the window.
Expected<RowChunks> plan_chunks(const ChunkFacts& facts);

// Whether a rank hides the communication of a chunk behind the product of the next. Its own affair: ranks may differ.
enum class Overlap : uint8_t { off, on };
struct OverlapChoice {
  Overlap overlap = Overlap::off;
  std::string_view why;
};
OverlapChoice choose_overlap(const RowChunks& chunks, int ranks);

// Strips of columns of a product, between which a rank looks after the chunk before. Whole panels.
struct ColumnStrips {
  int64_t columns = 0, count = 1;
};
ColumnStrips column_strips(int64_t n);

// Predicted microseconds of one call on one rank, for the verbose line.
struct WorkFacts {
  int64_t m = 0, n = 0, k = 0;
  int ranks = 1, threads = 1;
  bool several_hosts = false, oversubscribed = false;
  double weight_bytes = 0;  // of one element of the weight
  bool integer = false;     // int8 x int8, or fast arithmetic
  bool portable = false;    // no vector unit
  bool overlap = false;
};
struct Prediction {
  double product_us = 0, exchange_us = 0, tail_us = 0;
  double total_us = 0;
};
Prediction predict(const WorkFacts& facts, const RowChunks& chunks);

}  // namespace tandem
