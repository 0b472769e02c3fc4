// SPDX-License-Identifier: Apache-2.0
// Decoding attention: m sequences of one new position each over a paged cache that comes from memory.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "bench/session.h"

namespace tandem::bench {
namespace {

constexpr int64_t kQueryHeads = 32, kKvHeads = 8, kDim = 128, kPage = 64;
constexpr int64_t kMostRows = 32, kLongContext = 32768;

class AttentionCase {
 public:
  AttentionCase(DType type, int64_t rows, int64_t length, size_t pool_bytes)
      : rows_(rows), length_(length), query_(type, rows * kQueryHeads * kDim), y_(type, rows * kQueryHeads * kDim) {
    Random random{5};
    fill(query_, random, -5, -1);
    Values cache(type, 2 * rows * pages() * kPage * kKvHeads * kDim);
    fill(cache, random, -5, -1);
    half_ = cache.bytes.size() / 2;
    pool_ = std::make_unique<Pool>(cache.bytes.data(), cache.bytes.size(), pool_bytes);
    for (int64_t i = 0; i < rows * pages(); ++i) table_.push_back(static_cast<int32_t>((i * 7 + 3) % (rows * pages())));
    for (int64_t r = 0; r < rows; ++r) tables_.push_back(table_.data() + r * pages()), lengths_.push_back(length_);
  }

  PagedAttentionArgs args(int64_t first, int64_t rows, Values& y) {
    const auto row_bytes = static_cast<int64_t>(dtype_bytes(query_.dtype, kQueryHeads * kDim));
    const uint8_t* cache = pool_->next();
    PagedAttentionArgs a;
    a.rows = rows, a.query_heads = kQueryHeads, a.kv_heads = kKvHeads, a.head_dim = kDim;
    a.query = query_.bytes.data() + first * row_bytes, a.query_row_bytes = row_bytes;
    a.y = y.data(), a.y_row_bytes = row_bytes, a.dtype = query_.dtype;
    a.key_cache = cache, a.value_cache = cache + half_, a.block_size = kPage;
    a.block_tables = tables_.data() + first, a.lengths = lengths_.data() + first;
    a.scale = 0.08838834764f;
    return a;
  }
  void run(const KernelTable& table, Lane& lane) { table.attention.paged(args(0, rows_, y_), lane); }
  Verdict verify();
  Values& y() { return y_; }
  double bytes() const { return 2 * static_cast<double>(dtype_bytes(query_.dtype, rows_ * length_ * kKvHeads * kDim)); }
  double flops() const { return 4 * static_cast<double>(rows_ * length_ * kQueryHeads * kDim); }
  Pool& pool() { return *pool_; }

 private:
  int64_t pages() const { return (length_ + kPage - 1) / kPage; }
  Values last_row(const char* table);

  int64_t rows_, length_;
  Values query_, y_;
  size_t half_ = 0;
  std::unique_ptr<Pool> pool_;
  std::vector<int32_t> table_;
  std::vector<const int32_t*> tables_;
  std::vector<int64_t> lengths_;
};

Values AttentionCase::last_row(const char* table) {
  ThreadTeam team(1);
  Scratch scratch;
  Lane lane{&team, nullptr, &scratch};
  Values one(query_.dtype, kQueryHeads * kDim);
  find_table(table)->attention.paged(args(rows_ - 1, 1, one), lane);
  return one;
}

// The last sequence against the oracle: one rounding, D + L roundings of sums, and the error of the scores through exp.
Verdict AttentionCase::verify() {
  const Values exact = last_row("reference"), bits = last_row("portable");
  const size_t at = y_.bytes.size() - exact.bytes.size();
  const double u = query_.dtype == DType::f16 ? 0x1p-11 : query_.dtype == DType::bf16 ? 0x1p-8 : 0x1p-24;
  const double score = kDim * 0x1p-24 * 0.0884 * kDim * 0.25, largest = 0.5;
  const double allowed = 1.05 * (2 * u + static_cast<double>(kDim + length_) * 0x1p-24 * 8 + std::expm1(2 * score)) * largest;
  Verdict verdict;
  for (int64_t i = 0; i < exact.count; ++i) {
    const double error = std::fabs(static_cast<double>(y_.get((rows_ - 1) * exact.count + i)) - static_cast<double>(exact.get(i)));
    if (!(error <= allowed)) {
      verdict.complaint = fmt::format("column {}: {} where {} +- {:.3g} is right", i, y_.get((rows_ - 1) * exact.count + i), exact.get(i), allowed);
      return verdict;
    }
    verdict.worst = std::max(verdict.worst, error / allowed);
  }
  verdict.verified = std::memcmp(y_.bytes.data() + at, bits.bytes.data(), bits.bytes.size()) == 0;
  verdict.bits = "portable";
  if (!verdict.verified) verdict.complaint = "bits differ from table portable";
  return verdict;
}

void measure_one(Session& session, Crew& crew, DType type, int64_t rows, int64_t length) {
  const auto work = std::make_shared<AttentionCase>(type, rows, length, session.pool_bytes());
  Turns turns;
  turns.limits.push_back(crew.limits.read(work->pool()));
  std::vector<const LimitLoops*> seen;
  for (const KernelTable* table : session.tables()) {
    const LimitLoops& loops = float_loops_of_table(table->name);
    if (std::find(seen.begin(), seen.end(), &loops) == seen.end()) turns.limits.push_back(crew.limits.fma(loops));
    seen.push_back(&loops);
    Contender c;
    c.row.family = "attention", c.row.types = dtype_name(type), c.row.layout = "paged", c.row.math = "exact";
    c.row.detail = fmt::format("{} query heads, {} kv heads of {}, {} positions", kQueryHeads, kKvHeads, kDim, length);
    c.row.m = rows, c.row.n = kQueryHeads * kDim, c.row.threads = crew.threads, c.row.who = table->name;
    c.row.flops = work->flops(), c.row.bytes = work->bytes();
    c.row.fma = c.row.compute = fmt::format("fma {}", loops.name), c.row.memory = "read";
    const auto kept = std::make_shared<Values>();
    c.run = [work, table, &crew] { work->run(*table, crew.lane); };
    c.verify = [work, kept, table, &session] {
      if (session.spoils(std::string(table->name))) work->y().bytes.back() ^= 0x55;
      *kept = work->y();
      return work->verify();
    };
    c.unchanged = [work, kept, table, &crew] {
      work->run(*table, crew.lane);
      return work->y().bytes == kept->bytes;
    };
    turns.contenders.push_back(std::move(c));
  }
  session.measure(std::move(turns), fmt::format("attention {} rows={} positions={} threads={}", dtype_name(type), rows, length, crew.threads));
}

}  // namespace

void bench_attention(Session& session, bool count_only) {
  if (!session.wants("attention")) return;
  const auto one = [&](Crew& crew, DType type, int64_t rows, int64_t length) {
    if (count_only) return session.plan(1);
    measure_one(session, crew, type, rows, length);
  };
  const bool quick = session.options().quick;
  for (const auto& crew : session.crews()) {
    for (const DType type : {DType::f16, DType::bf16}) {
      for (const int64_t rows : session.options().m) {
        if (rows > kMostRows) continue;
        one(*crew, type, rows, quick ? 100 : 2048);
        if (rows == 1 && !quick) one(*crew, type, rows, kLongContext);
      }
    }
  }
}

}  // namespace tandem::bench
