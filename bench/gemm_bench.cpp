// SPDX-License-Identifier: Apache-2.0
// Products: every kind of weights and layout, exact and fast, beside the peers' products of the same values.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "bench/gemm_operands.h"
#include "bench/peers.h"
#include "bench/session.h"

namespace tandem::bench {
namespace {

constexpr int64_t kInt4Group = 128;
constexpr int64_t kGroupProducts = 4;

// One family's share of the work.
struct Family {
  std::string name;
  std::vector<std::string> types;    // where the user names none
  std::vector<std::string> layouts;  // empty: the user's
  bool integer = false;              // activations
};

const std::vector<Family>& families() {
  static const std::vector<Family> list = {
      {"gemm", {"f32xf32", "f16xf16", "bf16xbf16", "f16xi8", "f16xi4"}, {}, false},
      {"int8", {"i8xi8"}, {}, true},
      {"int4xint8", {"i8xi4"}, {}, true},
      {"transposed", {"f16xf16", "f16xi8"}, {"transposed", "packed"}, false},
      {"tree", {"f32xf32", "f16xi8"}, {"packed"}, false},
      {"group", {"f16xi8"}, {"packed"}, false},
  };
  return list;
}

struct Types {
  DType x = DType::none, w = DType::none;
};

Types types_of(const std::string& text) {
  const size_t at = text.find('x');
  if (at == std::string::npos) return {};
  return {dtype_from_name(text.substr(0, at)), dtype_from_name(text.substr(at + 1))};
}

// How a table is asked for a product.
struct Form {
  std::string math;  // exact, fast, "one leaf"
  int leaves = 8;
  Math mode = Math::exact;
};

std::vector<Form> forms(const Session& session, const Family& family, const GemmKind& kind) {
  if (family.name == "tree") return {{"exact", 8, Math::exact}, {"one leaf", 1, Math::exact}};
  std::vector<Form> list;
  for (const std::string& math : session.options().math) {
    if (math == "fast" && !kind.weight_only()) continue;
    list.push_back({math, 8, math == "fast" ? Math::fast : Math::exact});
  }
  return list;
}

std::string integer_limit(const LimitLoops& loops) { return loops.dot_operations > 0 ? "dot" : "madd"; }

Row row_of(const Family& family, const GemmOperands& operands, const KernelTable& table, const Form& form, int64_t m, int threads) {
  const GemmKind& kind = operands.kind();
  Row row;
  row.family = family.name, row.types = kind.types(), row.layout = kind.layout, row.math = form.math;
  row.detail = kind.detail();
  row.m = m, row.n = kind.n, row.k = kind.k, row.threads = threads;
  row.who = table.name;
  row.flops = 2.0 * static_cast<double>(m) * static_cast<double>(kind.k) * static_cast<double>(kind.n);
  const LimitLoops& loops = loops_of_table(table.name);
  const bool whole_numbers = kind.integer() || form.mode == Math::fast;
  row.fma = fmt::format("fma {}", float_loops_of_table(table.name).name);
  row.compute = whole_numbers && loops.madd_operations > 0 ? fmt::format("{} {}", integer_limit(loops), loops.name) : row.fma;
  row.memory = "read";
  return row;
}

// `count` equal products as one call, or one.
Contender product(Session& session, const Row& row, GemmOperands& operands, const KernelTable& table, const Form& form,
                  Crew& crew, int64_t count) {
  const int64_t n = operands.kind().n, m = row.m;
  const auto y = std::make_shared<std::vector<float>>(static_cast<size_t>(count * m * n), NAN);
  const auto kept = std::make_shared<std::vector<float>>();
  const auto& sample = operands.sample(m, form.leaves, form.mode);
  Contender c;
  c.row = row;
  c.row.flops *= static_cast<double>(count);
  c.row.bytes = static_cast<double>(operands.pool().block_bytes()) * static_cast<double>(count);
  const auto args = [&operands, form, y, m, n](int64_t which) {
    GemmArgs a = operands.next(m);
    a.leaves = form.leaves, a.math = form.mode;
    a.y = y->data() + which * m * n;
    a.y_row_bytes = n * 4;
    return a;
  };
  c.run = [=, &table, &crew] {
    if (count == 1) return table.gemm.run(args(0), crew.lane);
    GemmArgs list[kGroupProducts];
    for (int64_t i = 0; i < count; ++i) list[i] = args(i);
    table.gemm.run_group(list, count, crew.lane);
  };
  c.verify = [=, &session, &sample] {
    if (session.spoils(row.who)) y->back() += 1;
    *kept = *y;
    for (int64_t i = 1; i < count; ++i) {
      if (std::memcmp(y->data(), y->data() + i * m * n, static_cast<size_t>(m * n) * 4) == 0) continue;
      return Verdict{false, 0, "", "products of the group differ"};
    }
    return verify_gemm(sample, y->data() + (count - 1) * m * n, n, form.mode == Math::exact);
  };
  c.unchanged = [=] { return std::memcmp(kept->data(), y->data(), y->size() * sizeof(float)) == 0; };
  return c;
}

void add_limits(Turns& turns, const std::vector<const KernelTable*>& tables, const GemmKind& kind, bool fast, Crew& crew, Pool& pool) {
  turns.limits.push_back(crew.limits.read(pool));
  std::vector<const LimitLoops*> seen;
  for (const KernelTable* table : tables) {
    const LimitLoops& loops = loops_of_table(table->name);
    const LimitLoops& floats = float_loops_of_table(table->name);
    const auto is_new = [&](const LimitLoops& l) { return std::find(seen.begin(), seen.end(), &l) == seen.end(); };
    if (is_new(floats)) turns.limits.push_back(crew.limits.fma(floats));
    if ((kind.integer() || fast) && is_new(floats) && floats.madd_operations > 0) turns.limits.push_back(crew.limits.madd(floats));
    if ((kind.integer() || fast) && is_new(loops) && loops.dot_operations > 0) turns.limits.push_back(crew.limits.dot(loops));
    seen.insert(seen.end(), {&floats, &loops});
  }
}

// Peers take the description of the row they are compared with.
void describe_peers(Turns& turns, size_t first, const Row& like) {
  for (size_t i = first; i < turns.contenders.size(); ++i) {
    Row& row = turns.contenders[i].row;
    row.family = like.family, row.types = like.types, row.layout = "own", row.math = "own", row.detail = like.detail;
    row.m = like.m, row.n = like.n, row.k = like.k, row.threads = like.threads;
    row.flops = like.flops, row.fma = like.fma, row.compute = like.compute, row.memory = like.memory;
  }
}

struct Work {
  Session& session;
  const Family& family;
  GemmOperands& operands;
  PeerProducts& peers;
};

void measure_one(const Work& work, Crew& crew, int64_t m) {
  Session& session = work.session;
  const GemmKind& kind = work.operands.kind();
  const int64_t count = work.family.name == "group" ? kGroupProducts : 1;
  Turns turns;
  bool fast = false;
  for (const Form& form : forms(session, work.family, kind)) fast = fast || form.mode == Math::fast;
  add_limits(turns, session.tables(), kind, fast, crew, work.operands.pool());
  for (const KernelTable* table : session.tables()) {
    if (count > 1 && table->gemm.run_group == nullptr) {
      session.not_shown(fmt::format("group: table {} has no run_group", table->name));
      continue;
    }
    for (const Form& form : forms(session, work.family, kind)) {
      const Row row = row_of(work.family, work.operands, *table, form, m, crew.threads);
      turns.contenders.push_back(product(session, row, work.operands, *table, form, crew, count));
    }
  }
  const size_t first = turns.contenders.size();
  if (first > 0 && (work.family.name == "gemm" || work.family.name == "int8")) {
    work.peers.add(turns, m, crew.threads);
    describe_peers(turns, first, turns.contenders.front().row);
  }
  session.measure(std::move(turns), fmt::format("{} {} {} {}x{} M={} threads={}", work.family.name, kind.types(), kind.layout,
                                                kind.k, kind.n, m, crew.threads));
}

std::vector<GemmKind> kinds(const Session& session, const Family& family) {
  const Options& o = session.options();
  std::vector<GemmKind> list;
  for (const std::string& text : o.types.empty() ? family.types : o.types) {
    const Types types = types_of(text);
    if ((!is_float(types.x)) != family.integer) continue;
    if (family.integer && (types.w == DType::i4) != (family.name == "int4xint8")) continue;
    for (const std::string& layout : family.layouts.empty() ? o.layouts : family.layouts) {
      const bool weight_only = is_float(types.x) && !is_float(types.w);
      for (const std::string& offset : weight_only ? o.offsets : std::vector<std::string>{"none"}) {
        for (const auto& [k, n] : o.shapes) {
          list.push_back({types.x, types.w, layout, offset, k, n, types.w == DType::i4 ? kInt4Group : 0});
        }
      }
    }
  }
  return list;
}

}  // namespace

void bench_gemm(Session& session, bool count_only) {
  const Options& o = session.options();
  for (const Family& family : families()) {
    if (!session.wants(family.name)) continue;
    for (const GemmKind& kind : kinds(session, family)) {
      if (count_only) {
        session.plan(static_cast<int>(o.m.size() * session.crews().size()));
        continue;
      }
      GemmOperands operands(kind, *std::max_element(o.m.begin(), o.m.end()), session.pool_bytes());
      PeerProducts peers(session.peers(), operands, session.pool_bytes());
      for (const auto& crew : session.crews()) {
        for (const int64_t m : o.m) measure_one({session, family, operands, peers}, *crew, m);
      }
    }
  }
}

}  // namespace tandem::bench
