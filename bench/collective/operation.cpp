// SPDX-License-Identifier: Apache-2.0
#include "bench/collective/operation.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace tandem::bench {
namespace {

struct Word {
  std::string_view word;
  DType type;
};
// The first word of a type is the one that is printed.
constexpr std::array kTypes = {
    Word{"int8", DType::i8},   Word{"uint8", DType::u8},   Word{"int16", DType::i16},  Word{"uint16", DType::u16},
    Word{"int32", DType::i32}, Word{"uint32", DType::u32}, Word{"int64", DType::i64},  Word{"uint64", DType::u64},
    Word{"half", DType::f16},  Word{"float", DType::f32},  Word{"double", DType::f64}, Word{"bfloat16", DType::bf16},
    Word{"fp16", DType::f16},  Word{"fp32", DType::f32},   Word{"fp64", DType::f64},   Word{"bfp16", DType::bf16},
    Word{"f16", DType::f16},   Word{"f32", DType::f32},    Word{"f64", DType::f64},    Word{"bf16", DType::bf16}};
constexpr std::array<std::pair<std::string_view, Combine>, 5> kCombinations = {{{"sum", Combine::sum},
                                                                                {"prod", Combine::product},
                                                                                {"max", Combine::maximum},
                                                                                {"min", Combine::minimum},
                                                                                {"avg", Combine::average}}};

int64_t total(const std::vector<int64_t>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), int64_t{0});
}

// Parts of 1 : 2 : 1 : 2 ... of `elements`; what does not divide goes to the last.
void cut_unevenly(Problem& p) {
  int64_t weights = 0;
  for (int r = 0; r < p.ranks; ++r) weights += 1 + r % 2;
  int64_t at = 0;
  for (int r = 0; r < p.ranks; ++r) {
    const int64_t part = r == p.ranks - 1 ? p.elements - at : p.elements / weights * (1 + r % 2);
    p.counts.push_back(part);
    p.displacements.push_back(at);
    at += part;
  }
}

// Rank s sends rank d one or two units: as much as it receives from it.
int64_t pair_count(const Problem& p, int s, int d) {
  const int64_t unit = std::max<int64_t>(1, p.elements / (2 * p.ranks));
  return unit * (1 + (s + d) % 2);
}

int64_t pair_at(const Problem& p, int s, int d) {
  int64_t at = 0;
  for (int before = 0; before < d; ++before) at += pair_count(p, s, before);
  return at;
}

void describe_all_to_all_v(Problem& p) {
  for (int peer = 0; peer < p.ranks; ++peer) {
    const int64_t count = pair_count(p, p.rank, peer);
    p.counts.push_back(count);
    p.displacements.push_back(pair_at(p, p.rank, peer));
    p.wanted.push_back({peer, pair_at(p, peer, p.rank), count, pair_at(p, p.rank, peer)});
  }
  p.given = {p.rank, 0, total(p.counts), 0};
}

void describe_blocks(Problem& p, std::string_view name) {
  const int64_t whole = p.count * p.ranks;
  const bool is_root = p.rank == p.root;
  const auto all_blocks = [&](int64_t first) {
    for (int r = 0; r < p.ranks; ++r) p.wanted.push_back({r, first, p.count, r * p.count});
  };
  p.given = {p.rank, 0, name == "all_to_all" ? whole : p.count, 0};
  if (name == "all_gather") {
    all_blocks(0);
    p.in_at = p.rank * p.count;
  } else if (name == "all_to_all") {
    all_blocks(p.rank * p.count);
  } else if (name == "gather") {
    if (is_root) all_blocks(0);
  } else {  // scatter
    p.given.count = is_root ? whole : 0;
    p.wanted.push_back({p.root, p.rank * p.count, p.count, 0});
  }
}

void describe_reduction(Problem& p, std::string_view name) {
  const auto own = static_cast<size_t>(p.rank);
  p.given = {p.rank, 0, p.elements, 0};
  if (name == "all_reduce" || (name == "reduce" && p.rank == p.root)) p.wanted.push_back({-1, 0, p.count, 0});
  if (name == "reduce_scatter") {
    p.out_at = p.rank * p.count;
    p.wanted.push_back({-1, p.out_at, p.count, 0});
  }
  if (name == "reduce_scatter_v") {
    p.out_at = p.displacements[own];
    p.wanted.push_back({-1, p.out_at, p.counts[own], 0});
  }
}

void describe_moves(Problem& p, std::string_view name) {
  const auto own = static_cast<size_t>(p.rank);
  if (name == "all_gather_v") {
    p.in_at = p.displacements[own];
    p.given = {p.rank, 0, p.counts[own], 0};
    for (int r = 0; r < p.ranks; ++r) {
      const auto index = static_cast<size_t>(r);
      p.wanted.push_back({r, 0, p.counts[index], p.displacements[index]});
    }
  } else if (name == "broadcast") {
    p.given = {p.rank, 0, p.count, 0};
    p.wanted.push_back({p.root, 0, p.count, 0});
  } else {  // sendrecv
    p.given = {p.rank, 0, p.count, 0};
    p.wanted.push_back({(p.rank + p.ranks - 1) % p.ranks, 0, p.count, 0});
  }
}

Status send_in_a_ring(const Problem& p, Communicator& comm, const void* in, void* out, Lane& lane) {
  const std::array<Message, 2> messages = {
      Message{Message::Kind::send, const_cast<void*>(in), p.count, p.type, (p.rank + 1) % p.ranks},
      Message{Message::Kind::receive, out, p.count, p.type, (p.rank + p.ranks - 1) % p.ranks}};
  return batch_send_recv(comm, messages, lane);
}

}  // namespace

const std::vector<Operation>& operations() {
  static const std::vector<Operation> list = {
      {.name = "all_reduce", .reduces = true, .in_place = true, .bus_of_ranks = 2},
      {.name = "reduce_scatter", .reduces = true, .per_rank = true, .in_place = true},
      {.name = "reduce_scatter_v", .reduces = true, .uneven = true, .in_place = true},
      {.name = "all_gather", .per_rank = true, .in_place = true},
      {.name = "all_gather_v", .uneven = true, .in_place = true},
      {.name = "broadcast", .rooted = true, .in_place = true, .out_of_place = false, .bus_of_ranks = 0},
      {.name = "reduce", .reduces = true, .rooted = true, .in_place = true, .bus_of_ranks = 0},
      {.name = "scatter", .rooted = true, .per_rank = true},
      {.name = "gather", .rooted = true, .per_rank = true},
      {.name = "all_to_all", .per_rank = true},
      {.name = "all_to_all_v"},
      {.name = "sendrecv", .bus_of_ranks = 0}};
  return list;
}

const Operation* find_operation(std::string_view name) {
  const auto& list = operations();
  const auto found = std::find_if(list.begin(), list.end(), [&](const Operation& o) { return o.name == name; });
  return found == list.end() ? nullptr : &*found;
}

double bus_factor(const Operation& operation, int ranks) {
  if (operation.bus_of_ranks <= 0) return 1;
  return operation.bus_of_ranks * (ranks - 1) / ranks;
}

DType type_from_word(std::string_view word) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const Word& w) { return w.word == word; });
  return found == kTypes.end() ? DType::none : found->type;
}

std::string_view word_of(DType type) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const Word& w) { return w.type == type; });
  return found == kTypes.end() ? "none" : found->word;
}

bool combination_from_word(std::string_view word, Combine& how) {
  for (const auto& [name, value] : kCombinations) {
    if (name != word) continue;
    how = value;
    return true;
  }
  return false;
}

std::string_view word_of(Combine how) { return kCombinations[static_cast<size_t>(how)].first; }

size_t Problem::bytes() const { return dtype_bytes(type, elements); }

int64_t Problem::out_elements() const {
  int64_t end = 0;
  for (const Stretch& stretch : wanted) end = std::max(end, stretch.at + stretch.count);
  return end;
}

Problem make_problem(const Operation& operation, DType type, Combine how, int root, int rank, int ranks, size_t bytes) {
  Problem p{.operation = &operation, .type = type, .how = how, .root = root, .rank = rank, .ranks = ranks};
  const auto elements = static_cast<int64_t>(bytes / dtype_bytes(type, 1));
  p.count = std::max<int64_t>(1, operation.per_rank ? elements / ranks : elements);
  p.elements = operation.per_rank ? p.count * ranks : p.count;
  if (operation.uneven) cut_unevenly(p);
  if (operation.name == "all_to_all_v") {
    describe_all_to_all_v(p);
    p.elements = p.given.count;
  } else if (operation.reduces) {
    describe_reduction(p, operation.name);
  } else if (operation.per_rank) {
    describe_blocks(p, operation.name);
  } else {
    describe_moves(p, operation.name);
  }
  return p;
}

Status call(const Problem& p, Communicator& comm, const void* in, void* out, Lane& lane) {
  const std::string_view name = p.operation->name;
  const Parts parts{p.counts, p.displacements};
  if (name == "all_reduce") return all_reduce(comm, in, out, p.count, p.type, p.how, lane);
  if (name == "reduce_scatter") return reduce_scatter(comm, in, out, p.count, p.type, p.how, lane);
  if (name == "reduce_scatter_v") return reduce_scatter_v(comm, in, parts, out, p.type, p.how, lane);
  if (name == "all_gather") return all_gather(comm, in, out, p.count, p.type, lane);
  if (name == "all_gather_v") return all_gather_v(comm, in, out, parts, p.type, lane);
  if (name == "broadcast") return broadcast(comm, out, p.count, p.type, p.root, lane);
  if (name == "reduce") return reduce(comm, in, out, p.count, p.type, p.how, p.root, lane);
  if (name == "scatter") return scatter(comm, in, out, p.count, p.type, p.root, lane);
  if (name == "gather") return gather(comm, in, out, p.count, p.type, p.root, lane);
  if (name == "all_to_all") return all_to_all(comm, in, out, p.count, p.type, lane);
  if (name == "all_to_all_v") return all_to_all_v(comm, in, parts, out, parts, p.type, lane);
  return send_in_a_ring(p, comm, in, out, lane);
}

}  // namespace tandem::bench
