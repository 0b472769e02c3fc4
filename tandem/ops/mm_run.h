// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tandem/exec/memory.h"
#include "tandem/ops/mm_all_reduce_body.h"

// The run of a product with a collective: mm_all_reduce, mm_reduce_scatter, all_gather_mm. Internal to ops.
namespace tandem {

inline std::byte* operand_row(const TensorView& tensor, int64_t row, int64_t n) {
  if (!tensor.present()) return nullptr;
  return static_cast<std::byte*>(tensor.data) + static_cast<size_t>(row) * dtype_bytes(tensor.dtype, n);
}

// Rows of x1 whose product is computed at once by all_gather_mm: their sums stay in a cache, yet as many as possible
// share each pass over the weight.
inline int64_t gather_block(const MmAllReduceBody& body) {
  constexpr int64_t kBytes = 4 << 20, kLeast = 64;
  return std::min(body.chunks.chunk_rows, std::max(kLeast, kBytes / (body.n * 4)));
}

// Rows of x1 from a rank, in its memory or its slot.
struct GatheredRows {
  int64_t row = 0, count = 0;  // of the whole
  const std::byte* x = nullptr;
  int64_t pitch = 0;
  const float* token = nullptr;
};

// Rows of the whole that travel together, and those of them that this rank sums.
struct MmChunk {
  int64_t index = -1, first_row = 0, count = 0;
  RowExchange::Range mine{0, 0};
};

// One execution on one rank.
class MmRun {
 public:
  MmRun(const MmAllReduceBody& body, Lane& lane)
      : body_(body),
        lane_(lane),
        mark_(*lane.scratch),
        exchange_(*body.comm, body.chunks),
        ranks_(body.comm->size()),
        rank_(body.comm->rank()) {}

  Status all();

 private:
  Status prepare();
  Status prepare_dequant();
  Status gather_bias();
  void write_bias(float* target);
  Status chunk(int64_t index);
  Status product(int64_t first_row, int64_t count, void* const* targets);
  Status scatter(int64_t first_row, RowExchange::Range mine);
  // all_gather_mm
  Status end();
  Status refused(std::string_view what) const;
  Status gather_rows();
  Status gather_chunk(int64_t index);
  void fill_slot(int64_t first, int64_t count);
  Status gathered_part(int rank, int64_t index);
  Status gathered_block(const GatheredRows& rows);
  Status add_own_bias(int64_t count, const float* token);  // to sum_rows_
  Status add_own_terms(int64_t first_row, int64_t count);  // to sum_rows_
  Status combine(RowExchange::Range mine);
  // int8 between ranks
  Status prepare_wire();
  Status wire_chunk(int64_t index);
  void to_wire(const float* rows, int64_t count, const float* scale, bool divide, std::byte* to);
  void from_wire(const std::byte* rows, int64_t count, const float* scale, float* to);
  Status wire_sum(RowExchange::Range mine, std::byte* to);
  RowExchange::Range owned(int64_t first_row, int64_t count) const;
  Status partials(int64_t first_row, int64_t count, RowExchange::Range mine);
  void sum(RowExchange::Range mine);
  Status add_term(int64_t first_row, int64_t count, uint32_t kind, RowExchange::Range mine);
  void write_term(int64_t first_row, int64_t count, uint32_t kind);
  void tail(int64_t first_row, int64_t count, std::byte* y, std::byte* norm, size_t pitch);
  void tail_into_outputs(int64_t first_row, int64_t count);
  void quantise_norm(int64_t first_row, int64_t count, const std::byte* norm, size_t pitch);
  void inject_flip(void* row) const;
  void sum_partials(RowExchange::Range mine, uint32_t back);
  void put_results(const MmChunk& chunk);
  void take_results(const MmChunk& chunk);
  Status share(const MmChunk& chunk);
  // Communication of a chunk hidden behind the product of the next (mm_overlap.cpp)
  bool overlaps() const;
  Status overlapped_chunk(int64_t index);
  void strip(const MmChunk& chunk, int64_t first_column, int64_t columns);
  Status advance(bool wait, uint32_t back);
  Status settle(bool last);
  template <class T>
  T* array(int64_t count) {
    return lane_.scratch->take_array<T>(count);
  }

  const MmAllReduceBody& body_;
  Lane& lane_;
  Scratch::Mark mark_;
  RowExchange exchange_;
  const int ranks_, rank_;
  uint32_t announced_ = 0;  // OR of all ranks' local words
  GemmArgs product_;
  float* dequant_ = nullptr;         // [n] or [1] f32
  float* bias_ = nullptr;            // [ranks][n] f32
  float* sums_ = nullptr;            // [chunk_rows][n] finished sums of the rows this rank owns
  const float** inputs_ = nullptr;   // [ranks * chunk_rows]
  void** targets_ = nullptr;         // [chunk_rows] where the product goes
  float** sum_rows_ = nullptr;       // [chunk_rows] where sums go
  const void** finished_ = nullptr;  // [chunk_rows] where the tail reads sums
  const float** biases_ = nullptr;   // [ranks]; the present ones first, in rank order
  int bias_count_ = 0;
  MmChunk pending_;         // overlapped: published and not finished; index -1: none
  bool summed_ = false;     // ... of which this rank's sums are published too
  float* tokens_ = nullptr;  // [chunk_rows] of a peer's rows
  std::byte* norm_rows_ = nullptr;  // [chunk_rows][n] norms that are quantised and not stored
  // int8 between ranks: f32 scales, and rows as they travel
  float *wire_first_ = nullptr, *wire_second_ = nullptr, *wire_ratio_ = nullptr;
  std::byte* wire_rows_ = nullptr;
};

}  // namespace tandem
