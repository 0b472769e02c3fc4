// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/planner.h"

#include <algorithm>

#include "tandem/base/env.h"
#include "tandem/kernels/gemm.h"

namespace tandem {
namespace {

// Rates of one core of a present machine (docs/performance.md); only their ratios decide anything.
constexpr double kReadBytesPerUs = 16e3;  // weights and partials from memory or a peer's cache
constexpr double kWireBytesPerUs = 2e3;   // between hosts
constexpr double kPhaseUs = 2, kFarPhaseUs = 40, kCrowdedPhaseUs = 20;  // a signal from all to all
constexpr double kFlopsPerUs = 90e3, kIntegerFlopsPerUs = 130e3, kPlainFlopsPerUs = 1e3;

// Up to so many bytes of partials one phase was faster on every rank count measured.
constexpr double kOneShotBytes = 64 * 1024;
// Rows that share a pass over the weight: fewer cost more decoding than hiding their communication gains.
constexpr int64_t kChunkRows = 96;
// From so many rows on there are enough chunks that most of the communication has a product to hide behind.
constexpr int64_t kLeastRows = 3 * kChunkRows;

double wire_us(double bytes, bool far) { return bytes / (far ? kWireBytesPerUs : kReadBytesPerUs); }
double phase_us(bool far, bool crowded) { return far ? kFarPhaseUs : crowded ? kCrowdedPhaseUs : kPhaseUs; }

// One phase: every rank reads all partials of all rows. Two: 1/R of the rows, then the others' results.
bool one_phase_is_cheaper(const ChunkFacts& f, double bytes) {
  const double others = f.ranks - 1;
  const double one = wire_us(others * bytes, f.several_hosts);
  const double two = wire_us(2 * others / f.ranks * bytes, f.several_hosts) + phase_us(f.several_hosts, true);
  return bytes <= kOneShotBytes && one <= two;
}

}  // namespace

Expected<RowChunks> plan_chunks(const ChunkFacts& f) {
  auto chunks = choose_chunks(f.rows, f.n, f.result_row_bytes, f.window_bytes);
  if (!chunks || f.rows == 0) return chunks;
  const double bytes = static_cast<double>(f.rows * f.n) * sizeof(float);
  if (f.rows <= chunks->chunk_rows) chunks->one_shot = one_phase_is_cheaper(f, bytes);
  if (f.hides && f.rows >= kLeastRows && chunks->buffers > 1 && chunks->chunk_rows > kChunkRows) {
    limit_chunk_rows(*chunks, kChunkRows);
  }
  return chunks;
}

OverlapChoice choose_overlap(const RowChunks& chunks, int ranks) {
  if (ranks == 1) return {Overlap::off, "one_rank"};
  if (chunks.count() < 2) return {Overlap::off, "one_chunk"};
  if (chunks.buffers < 2) return {Overlap::off, "one_slot_in_the_window"};
  const auto forced = env_text("TANDEM_OVERLAP");
  if (forced == "off") return {Overlap::off, "forced"};
  if (forced == "on") return {Overlap::on, "forced"};
  if (chunks.rows < kLeastRows) return {Overlap::off, "few_rows"};
  return {Overlap::on, "many_rows"};
}

ColumnStrips column_strips(int64_t n) {
  // Every strip converts the rows of x again: 1024 columns keep that near 3 % of the products.
  constexpr int64_t kMost = 4, kLeastColumns = 16 * kPanel;
  const int64_t wanted = std::clamp<int64_t>(n / kLeastColumns, 1, kMost);
  ColumnStrips strips;
  strips.columns = (n + wanted * kPanel - 1) / (wanted * kPanel) * kPanel;
  strips.count = (n + strips.columns - 1) / strips.columns;
  return strips;
}

Prediction predict(const WorkFacts& f, const RowChunks& chunks) {
  Prediction p;
  const double m = static_cast<double>(f.m), n = static_cast<double>(f.n), k = static_cast<double>(f.k);
  const double rate = f.portable ? kPlainFlopsPerUs : f.integer ? kIntegerFlopsPerUs : kFlopsPerUs;
  const double share = f.oversubscribed ? f.threads * 0.5 : f.threads;
  p.product_us = std::max(2 * m * n * k / rate / share, n * k * f.weight_bytes / kReadBytesPerUs);
  p.tail_us = 3 * m * n * sizeof(float) / (2 * kReadBytesPerUs) / share;
  if (f.ranks > 1) {
    const double bytes = m * n * sizeof(float), others = f.ranks - 1;
    const double moved = chunks.one_shot ? others * bytes : 2 * others / f.ranks * bytes;
    const double phases = static_cast<double>(chunks.count()) * (chunks.one_shot ? 1 : 2) + 1;
    p.exchange_us = wire_us(moved, f.several_hosts) + phases * phase_us(f.several_hosts, f.oversubscribed);
  }
  // Hidden but for the last chunk's.
  const double shown = f.overlap && chunks.count() > 0 ? 1.0 / static_cast<double>(chunks.count()) : 1;
  p.total_us = p.product_us + p.tail_us + p.exchange_us * shown;
  return p;
}

}  // namespace tandem
