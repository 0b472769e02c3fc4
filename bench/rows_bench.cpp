// SPDX-License-Identifier: Apache-2.0
// Row operators, from memory and within the second cache, beside copies of as many bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "bench/row_kinds.h"
#include "bench/session.h"
#include "tandem/exec/topology.h"

namespace tandem::bench {
namespace {

constexpr size_t kLine = 64;

size_t aligned(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
bool by_row(const Part& part) { return part.role != Part::Role::shared; }

// The operands of so many rows as one block, and where each begins.
struct Block {
  std::vector<size_t> at;
  std::vector<uint8_t> bytes;
};

Block lay_out(const RowKind& kind, int64_t rows) {
  Block block;
  size_t size = 0;
  for (const Part& part : kind.parts) {
    block.at.push_back(size);
    size += aligned(dtype_bytes(part.dtype, part.width * (by_row(part) ? rows : 1)));
  }
  block.bytes.resize(size);
  return block;
}

Block filled(const RowKind& kind, int64_t rows) {
  Block block = lay_out(kind, rows);
  Random random{11};
  for (size_t i = 0; i < kind.parts.size(); ++i) {
    const Part& part = kind.parts[i];
    if (part.role == Part::Role::output) continue;
    Values values(part.dtype, part.width * (by_row(part) ? rows : 1));
    if (part.value) {
      for (int64_t e = 0; e < values.count; ++e) values.set(e, part.value(e));
    } else {
      fill(values, random, part.low, part.high);
    }
    std::copy(values.bytes.begin(), values.bytes.end(), block.bytes.begin() + static_cast<ptrdiff_t>(block.at[i]));
  }
  return block;
}

std::vector<void*> pointers(const Block& block, uint8_t* data) {
  std::vector<void*> list;
  for (const size_t at : block.at) list.push_back(data + at);
  return list;
}

// The chosen rows of a block as a block of their own.
Block sample_of(const RowKind& kind, const Block& from, const uint8_t* data, const std::vector<int64_t>& rows) {
  Block to = lay_out(kind, static_cast<int64_t>(rows.size()));
  for (size_t i = 0; i < kind.parts.size(); ++i) {
    const Part& part = kind.parts[i];
    const size_t bytes = dtype_bytes(part.dtype, part.width);
    for (size_t r = 0; r < (by_row(part) ? rows.size() : 1); ++r) {
      const size_t source = by_row(part) ? static_cast<size_t>(rows[r]) * bytes : 0;
      std::memcpy(to.bytes.data() + to.at[i] + r * bytes, data + from.at[i] + source, bytes);
    }
  }
  return to;
}

void run_on(const RowKind& kind, const char* table, Block& block, int64_t rows) {
  ThreadTeam team(1);
  Scratch scratch;
  Lane lane{&team, nullptr, &scratch};
  const auto parts = pointers(block, block.bytes.data());
  kind.call(*find_table(table), parts.data(), rows, lane);
}

Values part_of(const Block& block, const Part& part, size_t i, int64_t rows) {
  Values values(part.dtype, part.width * rows);
  std::memcpy(values.bytes.data(), block.bytes.data() + block.at[i], values.bytes.size());
  return values;
}

// One operator at one size.
class RowCase {
 public:
  RowCase(const RowKind& kind, int64_t rows, size_t pool_bytes)
      : kind_(kind), rows_(rows), start_(filled(kind, rows)), pool_(start_.bytes.data(), start_.bytes.size(), pool_bytes) {
    const int64_t middle = rows / 2;
    chosen_ = {0, middle, rows - 1};
    oracle_ = sample_of(kind_, start_, start_.bytes.data(), chosen_);
    portable_ = oracle_;
    run_on(kind_, "reference", oracle_, 3);
    run_on(kind_, "portable", portable_, 3);
  }

  double moved_bytes() const {
    double bytes = 0;
    for (const Part& part : kind_.parts) {
      if (!by_row(part)) continue;
      const auto one = static_cast<double>(dtype_bytes(part.dtype, part.width * rows_));
      bytes += part.role == Part::Role::both ? 2 * one : one;
    }
    return bytes;
  }

  void run(const KernelTable& table, Lane& lane) {
    const auto parts = pointers(start_, pool_.next());
    kind_.call(table, parts.data(), rows_, lane);
  }

  // Fresh operands, one call: its outputs.
  Block once(const KernelTable& table, Lane& lane) const {
    Block block = start_;
    const auto parts = pointers(block, block.bytes.data());
    kind_.call(table, parts.data(), rows_, lane);
    return block;
  }

  Verdict verify(const Block& block, bool spoil) const;

 private:
  Verdict verify_part(const Block& got, size_t i) const;

  const RowKind& kind_;
  int64_t rows_;
  Block start_;
  Pool pool_;
  std::vector<int64_t> chosen_;
  Block oracle_, portable_;
};

Verdict RowCase::verify_part(const Block& got, size_t i) const {
  const Part& part = kind_.parts[i];
  const auto count = static_cast<int64_t>(chosen_.size());
  const Values y = part_of(got, part, i, count), exact = part_of(oracle_, part, i, count), bits = part_of(portable_, part, i, count);
  Verdict verdict;
  for (int64_t e = 0; e < y.count; ++e) {
    const double wanted = static_cast<double>(exact.get(e));
    const double allowed = part.relative * std::fabs(wanted) + part.absolute;
    const double error = std::fabs(static_cast<double>(y.get(e)) - wanted);
    if (!(error <= allowed)) {
      verdict.complaint = fmt::format("operand {} row {} column {}: {} where {} +- {:.3g} is right", i, e / part.width, e % part.width,
                                      y.get(e), wanted, allowed);
      return verdict;
    }
    if (allowed > 0) verdict.worst = std::max(verdict.worst, error / allowed);
  }
  verdict.verified = y.bytes == bits.bytes;
  verdict.bits = "portable";
  if (!verdict.verified) verdict.complaint = fmt::format("operand {}: bits differ from table portable", i);
  return verdict;
}

Verdict RowCase::verify(const Block& block, bool spoil) const {
  Block got = sample_of(kind_, start_, block.bytes.data(), chosen_);
  Verdict all;
  for (size_t i = 0; i < kind_.parts.size(); ++i) {
    const auto role = kind_.parts[i].role;
    if (role != Part::Role::output && role != Part::Role::both) continue;
    if (spoil) got.bytes[got.at[i]] ^= 0x55;
    const Verdict one = verify_part(got, i);
    if (!one.verified) return one;
    all.verified = true, all.bits = one.bits, all.worst = std::max(all.worst, one.worst);
  }
  return all;
}

Contender contender(Session& session, const RowKind& kind, const std::shared_ptr<RowCase>& work, const KernelTable& table, Crew& crew,
                    const std::string& place, int64_t rows) {
  Contender c;
  c.row.family = kind.name, c.row.types = kind.types, c.row.layout = place, c.row.math = "exact";
  c.row.m = rows, c.row.n = kind.n, c.row.threads = crew.threads;
  c.row.who = table.name;
  c.row.bytes = work->moved_bytes();
  c.row.memory = place == "memory" ? "copy" : "cache copy";
  const auto kept = std::make_shared<Block>();
  c.run = [work, &table, &crew] { work->run(table, crew.lane); };
  c.verify = [=, &session, &table, &crew] {
    *kept = work->once(table, crew.lane);
    return work->verify(*kept, session.spoils(std::string(table.name)));
  };
  c.unchanged = [=, &table, &crew] { return work->once(table, crew.lane).bytes == kept->bytes; };
  return c;
}

void measure_kind(Session& session, const RowKind& kind, Crew& crew, const std::string& place) {
  size_t row_bytes = 0;
  for (const Part& part : kind.parts) row_bytes += by_row(part) ? dtype_bytes(part.dtype, part.width) : 0;
  const bool memory = place == "memory";
  // From memory so much that every result goes past the caches (smaller ones stay in them, which reads the lines to be
  // overwritten first); in the cache two blocks that fill half of it.
  size_t wanted = memory ? size_t{160} << 20 : topology().l2_bytes / 4 * static_cast<size_t>(crew.threads);
  if (session.options().quick) wanted = size_t{64} << 10;
  const auto rows = std::max<int64_t>(3, static_cast<int64_t>(wanted / row_bytes));
  const auto work = std::make_shared<RowCase>(kind, rows, memory ? session.pool_bytes() : 0);
  Turns turns;
  const auto bytes = static_cast<size_t>(work->moved_bytes());
  turns.limits.push_back(memory ? crew.limits.copy(bytes) : crew.limits.copy_in_cache(2 * wanted));
  for (const KernelTable* table : session.tables()) {
    if (kind.present(*table)) {
      turns.contenders.push_back(contender(session, kind, work, *table, crew, place, rows));
    } else {
      session.not_shown(fmt::format("{} {}: not in table {}", kind.name, kind.types, table->name));
    }
  }
  session.measure(std::move(turns), fmt::format("{} {} from {} threads={}", kind.name, kind.types, place, crew.threads));
}

}  // namespace

void bench_rows(Session& session, bool count_only) {
  if (!session.wants("rows")) return;
  const auto kinds = row_kinds(session.options().quick ? 512 : 4096);
  for (const RowKind& kind : kinds) {
    const bool known = kind.present(*find_table("reference")) && kind.present(*find_table("portable"));
    if (!known && !count_only) session.not_shown(fmt::format("{} {}: not in the tables it is checked with", kind.name, kind.types));
    for (const auto& crew : session.crews()) {
      for (const char* place : {"memory", "L2"}) {
        if (!known) continue;
        if (count_only) {
          session.plan(1);
        } else {
          measure_kind(session, kind, *crew, place);
        }
      }
    }
  }
}

}  // namespace tandem::bench
