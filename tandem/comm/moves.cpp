// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "tandem/comm/collective_call.h"
#include "tandem/comm/exchange.h"

// Collectives that only move data.
namespace tandem {
namespace {

// A turn's pieces stay in the cores' own caches.
constexpr size_t kTurnBytes = 256 * 1024;

size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
size_t turn_bytes(const Communicator& comm) { return std::min(kTurnBytes, Exchange::half_bytes(comm)); }

// The t-th piece of something of `bytes` bytes.
struct Piece {
  size_t first, bytes;
};
Piece piece_of(size_t bytes, size_t piece, int64_t turn) {
  const size_t first = std::min(bytes, static_cast<size_t>(turn) * piece);
  return {first, std::min(piece, bytes - first)};
}

// --- one block a rank, which all readers want: all_gather, broadcast, gather

// Bytes and place of the block of rank r, in the reader's `out`.
struct Block {
  size_t bytes = 0, at = 0;
};

struct Blocks {
  const CollectiveCall& call;
  Flow flow;
  const std::byte* in;  // this rank's block; null where it gives none
  std::byte* out;       // null where it takes none
  std::array<Block, kMaxRanks> of{};

  Status run() const;
  void take(const Exchange& exchange, size_t piece, int64_t turn) const;
  DirectBuffers direct_buffers(int rank, size_t longest) const;
  void take_directly(const DirectViews& views) const;
};

// What peers read; a rank that gives nothing shows where it takes, to say that it agrees.
DirectBuffers Blocks::direct_buffers(int rank, size_t longest) const {
  if (longest < kDirectBytes) return {};
  const Block& own = of[static_cast<size_t>(rank)];
  const bool gives = flow != Flow::from_root || rank == call.root;
  if (!gives) return {nullptr, 0, out, longest};
  if (rank != call.comm.rank() || out == nullptr) return {in, own.bytes, nullptr, 0};
  for (int peer = 0; peer < call.comm.size(); ++peer) {
    const Block& block = of[static_cast<size_t>(peer)];
    const bool same = peer == rank && out + block.at == in;
    if (!same && overlap(out + block.at, block.bytes, in, own.bytes)) return {};
  }
  return {in, own.bytes, nullptr, 0};
}

void Blocks::take_directly(const DirectViews& views) const {
  if (out == nullptr) return;
  const int size = call.comm.size(), rank = call.comm.rank();
  for (int i = 0; i < size; ++i) {
    const auto peer = static_cast<size_t>((rank + i) % size);
    if (of[peer].bytes > 0) copy_bytes(out + of[peer].at, views.in[peer], of[peer].bytes);
  }
}

void Blocks::take(const Exchange& exchange, size_t piece, int64_t turn) const {
  const int size = call.comm.size(), rank = call.comm.rank();
  for (int i = 0; i < size; ++i) {
    const int peer = (rank + i) % size;
    const Block& block = of[static_cast<size_t>(peer)];
    const Piece p = piece_of(block.bytes, piece, turn);
    std::byte* to = out + block.at + p.first;
    if (p.bytes == 0) continue;
    peer == rank ? copy_bytes(to, in + p.first, p.bytes) : copy_from_peer(to, exchange.half(peer, turn), p.bytes);
  }
}

Status Blocks::run() const {
  const size_t piece = turn_bytes(call.comm);
  size_t longest = 0;
  for (const Block& block : of) longest = std::max(longest, block.bytes);
  const size_t own = in != nullptr ? of[static_cast<size_t>(call.comm.rank())].bytes : 0;
  Exchange exchange(call.comm, flow, "waiting for blocks", std::max(call.root, 0));
  const int rank = call.comm.rank();
  return exchange.run(
      call.fingerprint(), static_cast<uint32_t>(ceil_div(longest, piece)),
      [&](int of_rank) { return direct_buffers(of_rank, longest); },
      [&](int64_t turn) {
        const Piece p = piece_of(own, piece, turn);
        if (p.bytes == 0 || call.comm.size() == 1) return;
        copy_bytes(exchange.half(rank, turn), in + p.first, p.bytes);
        call.comm.lend(exchange.half(rank, turn), p.bytes, flow == Flow::to_root ? call.root : -1);
      },
      [&](int64_t turn) {
        if (out != nullptr) take(exchange, piece, turn);
      },
      [&](const DirectViews& views) { take_directly(views); });
}

// --- another block for each reader: scatter, all_to_all

struct Pairs {
  const CollectiveCall& call;
  Flow flow;
  const std::byte* in;
  std::byte* out;
  std::array<Block, kMaxRanks> to{}, from{};  // `at` in `in`, and in `out`
  bool announce_counts = false;               // no rank knows the counts of all
  size_t longest = 0;                         // of any two ranks, where all know it
  // Where all know it: where the block for this rank begins in the `in` of each, and how long that is.
  std::array<Block, kMaxRanks> given{};
  // Settled by run().
  const Exchange* exchange = nullptr;
  size_t piece = 0, header = 0;

  Status run();

 private:
  DirectBuffers direct_buffers(int of_rank) const;
  void take_directly(const DirectViews& views) const;
  size_t rank() const { return static_cast<size_t>(call.comm.rank()); }
  size_t size() const { return static_cast<size_t>(call.comm.size()); }
  uint32_t turns() const;
  void give(int64_t turn);
  Status take(int64_t turn);
  std::atomic<uint64_t>* counts_of(int peer, int64_t turn) const;
  void write_counts(int64_t turn);
  Status compare_counts(int64_t turn);
};

uint32_t Pairs::turns() const {
  size_t most = longest;
  for (size_t peer = 0; peer < size(); ++peer) most = std::max({most, to[peer].bytes, from[peer].bytes});
  const size_t least = announce_counts ? 1 : 0;
  return static_cast<uint32_t>(std::max(least, ceil_div(most, piece)));
}

// 2 * size numbers at the head of a half: bytes to each rank, bytes from each.
std::atomic<uint64_t>* Pairs::counts_of(int peer, int64_t turn) const {
  return reinterpret_cast<std::atomic<uint64_t>*>(exchange->half(peer, turn));
}

void Pairs::write_counts(int64_t turn) {
  std::atomic<uint64_t>* counts = counts_of(call.comm.rank(), turn);
  for (size_t peer = 0; peer < size(); ++peer) {
    counts[peer].store(to[peer].bytes, std::memory_order_relaxed);
    counts[size() + peer].store(from[peer].bytes, std::memory_order_relaxed);
  }
  call.comm.lend(exchange->half(call.comm.rank(), turn), header);
}

// Every rank looks at all pairs, so that all find the same difference before one of them writes a result.
Status Pairs::compare_counts(int64_t turn) {
  for (size_t s = 0; s < size(); ++s) {
    for (size_t d = 0; d < size(); ++d) {
      const uint64_t sent = counts_of(static_cast<int>(s), turn)[d].load(std::memory_order_relaxed);
      const uint64_t expected = counts_of(static_cast<int>(d), turn)[size() + s].load(std::memory_order_relaxed);
      if (sent == expected) continue;
      return fail(call.comm.disagree(
          static_cast<int>(s), fmt::format("{}: rank {} sends {} elements to rank {}, which expects {}", call.name, s,
                                           sent / call.element(), d, expected / call.element())));
    }
  }
  return {};
}

void Pairs::give(int64_t turn) {
  if (size() == 1 || in == nullptr) return;
  std::byte* half = exchange->half(call.comm.rank(), turn) + header;
  for (size_t peer = 0; peer < size(); ++peer) {
    const Piece p = piece_of(to[peer].bytes, piece, turn);
    if (p.bytes == 0 || peer == rank()) continue;
    copy_bytes(half + peer * piece, in + to[peer].at + p.first, p.bytes);
    call.comm.lend(half + peer * piece, p.bytes, static_cast<int>(peer));
  }
}

Status Pairs::take(int64_t turn) {
  if (announce_counts && turn == 0 && size() > 1) {
    if (Status s = compare_counts(turn); !s) return s;
  }
  for (size_t i = 0; i < size(); ++i) {
    const size_t peer = (rank() + i) % size();
    const Piece p = piece_of(from[peer].bytes, piece, turn);
    if (p.bytes == 0) continue;
    const std::byte* source = peer == rank() ? in + to[peer].at + p.first
                                             : exchange->half(static_cast<int>(peer), turn) + header + rank() * piece;
    copy_bytes(out + from[peer].at + p.first, source, p.bytes);
  }
  return {};
}

DirectBuffers Pairs::direct_buffers(int of_rank) const {
  if (longest < kDirectBytes || announce_counts) return {};
  const bool gives = flow != Flow::from_root || of_rank == call.root;
  if (!gives) return {nullptr, 0, out, longest};
  const size_t bytes = given[static_cast<size_t>(of_rank)].bytes;
  if (of_rank != call.comm.rank()) return {in, bytes, nullptr, 0};
  for (size_t peer = 0; peer < size(); ++peer) {
    if (overlap(out + from[peer].at, from[peer].bytes, in, bytes)) return {};
  }
  return {in, bytes, nullptr, 0};
}

void Pairs::take_directly(const DirectViews& views) const {
  for (size_t i = 0; i < size(); ++i) {
    const size_t peer = (rank() + i) % size();
    if (from[peer].bytes > 0) copy_bytes(out + from[peer].at, views.in[peer] + given[peer].at, from[peer].bytes);
  }
}

Status Pairs::run() {
  Exchange own_exchange(call.comm, flow, "waiting for blocks", std::max(call.root, 0));
  exchange = &own_exchange;
  header = announce_counts ? 2 * sizeof(uint64_t) * size() : 0;
  constexpr size_t kUnit = 8;
  piece = (std::max(turn_bytes(call.comm), header + kUnit * size()) - header) / size() / kUnit * kUnit;
  if (size() == 1) piece = std::max<size_t>(from[0].bytes, 1);  // straight from `in` to `out`
  const uint32_t own_turns = turns();
  return own_exchange.run(
      call.fingerprint(announce_counts ? own_turns : 0), own_turns,
      [&](int of_rank) { return direct_buffers(of_rank); },
      [&](int64_t turn) {
        if (announce_counts && turn == 0) write_counts(turn);
        give(turn);
      },
      [&](int64_t turn) { return take(turn); }, [&](const DirectViews& views) { take_directly(views); });
}

Status check_root(const CollectiveCall& call) {
  if (call.root >= 0) return check(call);
  return fail(ErrorCode::invalid_argument,
              fmt::format("{}: root {}, 0 to {} wanted", call.name, call.root, call.comm.size() - 1));
}

// Where a rank's part ends, 0 for empty ones: a displacement without a count is not read.
int64_t extent_of(const Parts& parts) {
  int64_t extent = 0;
  for (size_t rank = 0; rank < parts.counts.size(); ++rank) {
    if (parts.counts[rank] > 0) extent = std::max(extent, parts.counts[rank] + parts.displacements[rank]);
  }
  return extent;
}

std::array<Block, kMaxRanks> blocks_of(const CollectiveCall& call, const Parts& parts) {
  std::array<Block, kMaxRanks> blocks{};
  for (size_t rank = 0; rank < parts.counts.size(); ++rank) {
    blocks[rank] = {call.bytes(parts.counts[rank]), call.bytes(parts.displacements[rank])};
  }
  return blocks;
}

// `count` elements a rank, one behind the other.
std::array<Block, kMaxRanks> even_blocks(const CollectiveCall& call) {
  std::array<Block, kMaxRanks> blocks{};
  for (size_t rank = 0; rank < static_cast<size_t>(call.comm.size()); ++rank) {
    blocks[rank] = {call.bytes(call.count), rank * call.bytes(call.count)};
  }
  return blocks;
}

}  // namespace

Status all_gather(Communicator& comm, const void* in, void* out, int64_t count, DType type, Lane& lane) {
  const CollectiveCall call{comm, lane, "all_gather", count, type};
  if (Status s = check(call); !s) return s;
  if (Status s = check_buffer(call, "in", in, count); !s) return s;
  if (Status s = check_buffer(call, "out", out, count); !s) return s;
  return Blocks{call, Flow::everyone, as_bytes(in), as_bytes(out), even_blocks(call)}.run();
}

Status all_gather_v(Communicator& comm, const void* in, void* out, const Parts& parts, DType type, Lane& lane) {
  CollectiveCall call{comm, lane, "all_gather_v", 0, type};
  if (Status s = check_parts(call, "parts", parts); !s) return s;
  call.layout = hash_of(parts.displacements, hash_of(parts.counts));
  for (const int64_t count : parts.counts) call.count += count;
  if (Status s = check(call); !s) return s;
  if (Status s = check_buffer(call, "in", in, parts.counts[static_cast<size_t>(comm.rank())]); !s) return s;
  if (Status s = check_buffer(call, "out", out, extent_of(parts)); !s) return s;
  return Blocks{call, Flow::everyone, as_bytes(in), as_bytes(out), blocks_of(call, parts)}.run();
}

Status broadcast(Communicator& comm, void* data, int64_t count, DType type, int root, Lane& lane) {
  const CollectiveCall call{comm, lane, "broadcast", count, type, root};
  if (Status s = check_root(call); !s) return s;
  if (Status s = check_buffer(call, "data", data, count); !s) return s;
  const bool gives = comm.rank() == root;
  Blocks blocks{call, Flow::from_root, gives ? as_bytes(data) : nullptr, gives ? nullptr : as_bytes(data)};
  blocks.of[static_cast<size_t>(root)] = {call.bytes(count), 0};
  return blocks.run();
}

Status gather(Communicator& comm, const void* in, void* out, int64_t count, DType type, int root, Lane& lane) {
  const CollectiveCall call{comm, lane, "gather", count, type, root};
  const bool takes = comm.rank() == root;
  if (Status s = check_root(call); !s) return s;
  if (Status s = check_buffer(call, "in", in, count); !s) return s;
  if (Status s = check_buffer(call, "out", out, takes ? count : 0); !s) return s;
  return Blocks{call, Flow::to_root, as_bytes(in), takes ? as_bytes(out) : nullptr, even_blocks(call)}.run();
}

Status scatter(Communicator& comm, const void* in, void* out, int64_t count, DType type, int root, Lane& lane) {
  const CollectiveCall call{comm, lane, "scatter", count, type, root};
  const bool gives = comm.rank() == root;
  if (Status s = check_root(call); !s) return s;
  if (Status s = check_buffer(call, "in", in, gives ? count : 0); !s) return s;
  if (Status s = check_buffer(call, "out", out, count); !s) return s;
  Pairs pairs{call, Flow::from_root, gives ? as_bytes(in) : nullptr, as_bytes(out)};
  if (gives) pairs.to = even_blocks(call);
  pairs.from[static_cast<size_t>(root)] = {call.bytes(count), 0};
  pairs.longest = call.bytes(count);
  pairs.given[static_cast<size_t>(root)] = {static_cast<size_t>(comm.size()) * call.bytes(count),
                                            static_cast<size_t>(comm.rank()) * call.bytes(count)};
  return pairs.run();
}

Status all_to_all(Communicator& comm, const void* in, void* out, int64_t count, DType type, Lane& lane) {
  const CollectiveCall call{comm, lane, "all_to_all", count, type};
  if (Status s = check(call); !s) return s;
  if (Status s = check_buffer(call, "in", in, count); !s) return s;
  if (Status s = check_buffer(call, "out", out, count); !s) return s;
  Pairs pairs{call, Flow::everyone, as_bytes(in), as_bytes(out), even_blocks(call), even_blocks(call)};
  const size_t bytes = call.bytes(count), ranks = static_cast<size_t>(comm.size());
  pairs.longest = bytes;
  pairs.given.fill({ranks * bytes, static_cast<size_t>(comm.rank()) * bytes});
  return pairs.run();
}

Status all_to_all_v(Communicator& comm, const void* in, const Parts& sends, void* out, const Parts& receives,
                    DType type, Lane& lane) {
  const CollectiveCall call{comm, lane, "all_to_all_v", 0, type};
  if (Status s = check(call); !s) return s;
  if (Status s = check_parts(call, "sends", sends); !s) return s;
  if (Status s = check_parts(call, "receives", receives); !s) return s;
  if (Status s = check_buffer(call, "in", in, extent_of(sends)); !s) return s;
  if (Status s = check_buffer(call, "out", out, extent_of(receives)); !s) return s;
  const auto own = static_cast<size_t>(comm.rank());
  if (sends.counts[own] != receives.counts[own]) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("all_to_all_v: rank {} sends {} elements to itself and expects "
                            "{}, the same wanted",
                            own, sends.counts[own], receives.counts[own]));
  }
  return Pairs{call, Flow::everyone, as_bytes(in), as_bytes(out), blocks_of(call, sends), blocks_of(call, receives),
               true}
      .run();
}

Status all_to_all_vc(Communicator& comm, const void* in, void* out, std::span<const int64_t> matrix, DType type,
                     Lane& lane) {
  CollectiveCall call{comm, lane, "all_to_all_vc", 0, type};
  const auto size = static_cast<size_t>(comm.size()), own = static_cast<size_t>(comm.rank());
  if (matrix.size() != size * size) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("all_to_all_vc: {} counts, {} wanted", matrix.size(), size * size));
  }
  Pairs pairs{call, Flow::everyone, as_bytes(in), as_bytes(out)};
  for (size_t row = 0; row < size; ++row) {
    const Parts counts{matrix.subspan(row * size, size), matrix.subspan(row * size, size)};
    if (Status s = check_parts(call, "matrix", counts); !s) return s;
  }
  int64_t sent = 0, received = 0;
  for (size_t peer = 0; peer < size; ++peer) {
    const int64_t to = matrix[own * size + peer], from = matrix[peer * size + own];
    pairs.to[peer] = {call.bytes(to), call.bytes(sent)};
    pairs.from[peer] = {call.bytes(from), call.bytes(received)};
    sent += to;
    received += from;
    for (size_t reader = 0; reader < size; ++reader) {
      const size_t bytes = call.bytes(matrix[peer * size + reader]);
      pairs.given[peer].bytes += bytes;
      if (reader < own) pairs.given[peer].at += bytes;
    }
  }
  for (const int64_t count : matrix) pairs.longest = std::max(pairs.longest, call.bytes(count));
  call.layout = hash_of(matrix);
  if (Status s = check(call); !s) return s;
  if (Status s = check_buffer(call, "in", in, sent); !s) return s;
  if (Status s = check_buffer(call, "out", out, received); !s) return s;
  return pairs.run();
}

Status barrier(Communicator& comm, Lane& lane) {
  const CollectiveCall call{comm, lane, "barrier"};
  const auto begun = comm.begin(call.fingerprint());
  if (!begun) return fail(begun.error());
  comm.end();
  return {};
}

}  // namespace tandem
