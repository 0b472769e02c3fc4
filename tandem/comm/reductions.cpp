// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "tandem/comm/collective_call.h"
#include "tandem/comm/exchange.h"
#include "tandem/comm/reduction.h"
#include "tandem/exec/memory.h"

// all_reduce, reduce, reduce_scatter and reduce_scatter_v.
namespace tandem {
namespace {

// Up to here (bytes all ranks read together, for one rank) every rank combines everything itself.
constexpr size_t kWholeBytes = 32 * 1024;

// --- all_reduce in device memory: every rank combines a slice of all inputs and writes it to all results

DirectBuffers direct_buffers(const Reduction& r) {
  const size_t bytes = r.call.bytes(r.call.count);
  if (bytes < kDirectBytes || (r.in != r.out && overlap(r.in, bytes, r.out, bytes))) return {};
  return {r.in, bytes, r.out, bytes};
}

void combine_directly(const Reduction& r, const DirectViews& views) {
  const auto line = static_cast<int64_t>(kLine / r.call.element());
  const Slices slices{ceil_div(ceil_div(r.call.count, r.size()), line) * line};
  const int64_t last = slices.last(r.rank(), r.call.count);
  const auto block = static_cast<int64_t>(kBlockBytes / r.call.element());
  const Scratch::Mark mark(*r.call.lane.scratch);
  std::byte* buffer = r.past ? r.call.lane.scratch->take_array<std::byte>(static_cast<int64_t>(kBlockBytes)) : nullptr;
  for (int64_t first = slices.first(r.rank(), r.call.count); first < last; first += block) {
    const int64_t some = std::min(block, last - first);
    const size_t offset = r.call.bytes(first);
    std::byte* to = buffer != nullptr ? buffer : r.out + offset;
    r.combine(
        r.in + offset, [&](int peer) { return views.in[static_cast<size_t>(peer)] + offset; }, some, to, nullptr);
    for (int i = 0; i < r.size(); ++i) {
      const auto peer = static_cast<size_t>((r.rank() + i) % r.size());
      r.copy_result(views.out[peer] + offset, to, r.call.bytes(some));
    }
  }
}

// --- every rank that wants the result reads all inputs

Status combine_whole(const Reduction& r) {
  const Flow flow = r.call.root < 0 ? Flow::everyone : Flow::to_root;
  Exchange exchange(r.call.comm, flow, "waiting for the input", std::max(r.call.root, 0));
  const bool wanted = r.out != nullptr;
  const bool gives = r.call.root != r.rank() && r.size() > 1;
  const auto give = [&](int64_t turn) {
    if (!gives) return;
    copy_bytes(exchange.half(r.rank(), turn), r.in, r.call.bytes(r.call.count));
    r.call.comm.lend(exchange.half(r.rank(), turn), r.call.bytes(r.call.count), r.call.root);
  };
  const auto take = [&](int64_t turn) {
    if (!wanted) return;
    r.combine(
        r.in, [&](int peer) { return exchange.half(peer, turn); }, r.call.count, r.out, nullptr);
  };
  if (r.call.root >= 0 || r.call.bytes(r.call.count) < kDirectBytes) {
    return exchange.run(r.call.fingerprint(), 1, give, take);
  }
  return exchange.run(
      r.call.fingerprint(), 1, [&](int) { return direct_buffers(r); }, give, take,
      [&](const DirectViews& views) { combine_directly(r, views); });
}

// --- every rank combines a slice of each chunk, and the others copy it in the turn after

class SlicedReduction {
 public:
  explicit SlicedReduction(const Reduction& reduction)
      : r_(reduction), exchange_(r_.call.comm, Flow::everyone, "waiting for inputs and slices") {
    const auto ranks = static_cast<size_t>(r_.size());
    const size_t half = Exchange::half_bytes(r_.call.comm);
    // Slices begin on lines where the window is large enough for that; a chunk and one more slice fit a half.
    const size_t unit = half >= (ranks + 1) * kLine ? kLine : sizeof(uint64_t);
    const size_t slice = std::clamp(kTurnBytes / ranks / unit * unit, unit, half / (ranks + 1) / unit * unit);
    const auto line = static_cast<int64_t>(unit / r_.call.element());
    const int64_t chunk = static_cast<int64_t>(slice / r_.call.element()) * r_.size();
    chunks_ = ceil_div(r_.call.count, chunk);
    slices_.slice = ceil_div(ceil_div(ceil_div(r_.call.count, chunks_), r_.size()), line) * line;
    chunk_ = slices_.slice * r_.size();
    chunks_ = ceil_div(r_.call.count, chunk_);
    results_at_ = r_.call.bytes(chunk_);
  }

  Status run() {
    const auto give_chunk = [&](int64_t turn) {
      if (turn < chunks_) give(turn);
    };
    const auto take_chunk = [&](int64_t turn) {
      if (turn < chunks_) combine_slice(turn);
      if (turn > 0 && r_.out != nullptr) take_slices(turn);
    };
    const auto turns = static_cast<uint32_t>(chunks_ + 1);
    if (r_.call.root >= 0) return exchange_.run(r_.call.fingerprint(), turns, give_chunk, take_chunk);
    return exchange_.run(
        r_.call.fingerprint(), turns, [&](int) { return direct_buffers(r_); }, give_chunk, take_chunk,
        [&](const DirectViews& views) { combine_directly(r_, views); });
  }

 private:
  size_t at(int64_t chunk) const { return r_.call.bytes(chunk * chunk_); }
  int64_t length(int64_t chunk) const { return std::min(chunk_, r_.call.count - chunk * chunk_); }

  // All of the chunk but what this rank combines itself.
  void give(int64_t turn) {
    const int64_t count = length(turn);
    const size_t first = r_.call.bytes(slices_.first(r_.rank(), count));
    const size_t last = r_.call.bytes(slices_.last(r_.rank(), count));
    std::byte* half = exchange_.half(r_.rank(), turn);
    const std::byte* in = r_.in + at(turn);
    copy_bytes(half, in, first);
    copy_bytes(half + last, in + last, r_.call.bytes(count) - last);
    if (r_.call.comm.several_hosts()) lend_slices(half, count);
  }

  void lend_slices(const std::byte* half, int64_t count) {
    for (int peer = 0; peer < r_.size(); ++peer) {
      const int64_t first = slices_.first(peer, count), last = slices_.last(peer, count);
      if (peer != r_.rank()) r_.call.comm.lend(half + r_.call.bytes(first), r_.call.bytes(last - first), peer);
    }
  }

  void combine_slice(int64_t turn) {
    const int64_t count = length(turn);
    const int64_t first = slices_.first(r_.rank(), count), last = slices_.last(r_.rank(), count);
    const size_t offset = r_.call.bytes(first);
    std::byte* result = exchange_.half(r_.rank(), turn + 1) + results_at_;
    const bool wanted = r_.out != nullptr, given = r_.call.root < 0 || !wanted;
    std::byte* own = wanted ? r_.out + at(turn) + offset : nullptr;
    // The copy that stays in the caches is made first.
    std::byte* to = given && (r_.past || !wanted) ? result : own;
    std::byte* also = given && wanted ? (to == own ? result : own) : nullptr;
    r_.combine(
        r_.in + at(turn) + offset, [&](int peer) { return exchange_.half(peer, turn) + offset; }, last - first, to,
        also);
    if (given) r_.call.comm.lend(result, r_.call.bytes(last - first), r_.call.root);
  }

  // The others' slices of the chunk before. Every rank starts with another, so that they do not queue up.
  void take_slices(int64_t turn) {
    const int64_t count = length(turn - 1);
    for (int i = 1; i < r_.size(); ++i) {
      const int peer = (r_.rank() + i) % r_.size();
      const int64_t first = slices_.first(peer, count), last = slices_.last(peer, count);
      r_.take_result(r_.out + at(turn - 1) + r_.call.bytes(first), exchange_.half(peer, turn) + results_at_,
                     r_.call.bytes(last - first));
    }
  }

  const Reduction& r_;
  Exchange exchange_;
  Slices slices_{};
  int64_t chunk_ = 0, chunks_ = 0;
  size_t results_at_ = 0;
};

Status reduce_all(Reduction& r) {
  const size_t bytes = r.call.bytes(r.call.count);
  r.past = bytes >= kPastBytes;
  const auto readers = static_cast<size_t>(std::max(1, r.size() - 1));
  const bool whole = r.size() == 1 || (bytes * readers <= kWholeBytes && bytes <= Exchange::half_bytes(r.call.comm));
  if (r.call.count == 0)
    return Exchange(r.call.comm, Flow::everyone, "begin")
        .run(
            r.call.fingerprint(), 0, [](int64_t) {}, [](int64_t) {});
  if (whole) return combine_whole(r);
  return sums_inside_hosts(r) ? reduce_inside_hosts(r) : SlicedReduction(r).run();
}

// --- parts: in turn t every rank gives the t-th piece of each part and combines the t-th piece of its own

class PartsReduction {
 public:
  PartsReduction(const Reduction& reduction, const Parts& parts)
      : r_(reduction), parts_(parts), exchange_(r_.call.comm, Flow::everyone, "waiting for inputs") {
    const size_t half = Exchange::half_bytes(r_.call.comm);
    const auto ranks = static_cast<size_t>(r_.size());
    // Pieces begin on lines where the window is large enough for that.
    const size_t unit = half >= 4 * ranks * kLine ? kLine : r_.call.element();
    const size_t room = std::min(half, std::max(kTurnBytes, 4 * ranks * unit)) - ranks * unit;
    size_t total = 0;
    for (const int64_t count : parts.counts) total += r_.call.bytes(count);
    turns_ = static_cast<int64_t>((total + room - 1) / room);
    size_t at = 0;
    for (size_t rank = 0; rank < ranks; ++rank) {
      const int64_t unit_elements = static_cast<int64_t>(unit / r_.call.element());
      pieces_[rank] = turns_ == 0 ? 0 : ceil_div(ceil_div(parts.counts[rank], turns_), unit_elements) * unit_elements;
      at_[rank] = at;
      at += r_.call.bytes(pieces_[rank]);
    }
  }

  Status run() {
    return exchange_.run(
        r_.call.fingerprint(), static_cast<uint32_t>(turns_), [&](int) { return direct_buffers(); },
        [&](int64_t turn) { give(turn); }, [&](int64_t turn) { combine_piece(turn); },
        [&](const DirectViews& views) { combine_directly(views); });
  }

 private:
  // Peers read their parts of `in` while this rank writes its result: into its own part alone.
  DirectBuffers direct_buffers() const {
    const auto own = static_cast<size_t>(r_.rank());
    size_t end = 0, total = 0;
    const size_t bytes = r_.call.bytes(parts_.counts[own]);
    bool safe = true;
    for (size_t rank = 0; rank < parts_.counts.size(); ++rank) {
      const size_t part = r_.call.bytes(parts_.counts[rank]);
      if (part == 0) continue;
      total += part;
      end = std::max(end, r_.call.bytes(parts_.displacements[rank]) + part);
      safe = safe && (rank == own || !overlap(input(rank, 0), part, r_.out, bytes));
    }
    if (total < kDirectBytes || !safe) return {};
    return {r_.in, end, nullptr, 0};
  }

  void combine_directly(const DirectViews& views) {
    const auto own = static_cast<size_t>(r_.rank());
    const size_t at = r_.call.bytes(parts_.displacements[own]);
    r_.combine(
        r_.in + at, [&](int peer) { return views.in[static_cast<size_t>(peer)] + at; }, parts_.counts[own], r_.out,
        nullptr, r_.past);
  }

  struct Piece {
    int64_t first, count;
  };
  Piece piece(size_t rank, int64_t turn) const {
    const int64_t first = std::min(parts_.counts[rank], turn * pieces_[rank]);
    return {first, std::min(pieces_[rank], parts_.counts[rank] - first)};
  }

  const std::byte* input(size_t rank, int64_t first) const {
    return r_.in + r_.call.bytes(parts_.displacements[rank] + first);
  }

  void give(int64_t turn) {
    std::byte* half = exchange_.half(r_.rank(), turn);
    for (int peer = 0; peer < r_.size(); ++peer) {
      if (peer == r_.rank()) continue;
      const auto index = static_cast<size_t>(peer);
      const Piece p = piece(index, turn);
      copy_bytes(half + at_[index], input(index, p.first), r_.call.bytes(p.count));
      r_.call.comm.lend(half + at_[index], r_.call.bytes(p.count), peer);
    }
  }

  void combine_piece(int64_t turn) {
    const auto own = static_cast<size_t>(r_.rank());
    const Piece p = piece(own, turn);
    if (p.count == 0) return;
    r_.combine(
        input(own, p.first), [&](int peer) { return exchange_.half(peer, turn) + at_[own]; }, p.count,
        r_.out + r_.call.bytes(p.first), nullptr, r_.past);
  }

  const Reduction& r_;
  const Parts& parts_;
  Exchange exchange_;
  int64_t turns_ = 0;
  std::array<int64_t, kMaxRanks> pieces_{};
  std::array<size_t, kMaxRanks> at_{};
};

Status scatter_parts(Reduction& r, const Parts& parts) {
  if (Status s = check(r.call); !s) return s;
  int64_t extent = 0;
  for (size_t rank = 0; rank < parts.counts.size(); ++rank) {
    if (parts.counts[rank] > 0) extent = std::max(extent, parts.counts[rank] + parts.displacements[rank]);
  }
  if (Status s = check_buffer(r.call, "in", r.in, extent); !s) return s;
  if (Status s = check_buffer(r.call, "out", r.out, parts.counts[static_cast<size_t>(r.rank())]); !s) return s;
  r.past = r.call.bytes(parts.counts[static_cast<size_t>(r.rank())]) >= kPastBytes;
  return PartsReduction(r, parts).run();
}

}  // namespace

Status all_reduce(Communicator& comm, const void* in, void* out, int64_t count, DType type, Combine how, Lane& lane) {
  Reduction r{{comm, lane, "all_reduce", count, type, -1, reduction_of(how)}, how, as_bytes(in), as_bytes(out)};
  if (Status s = check(r.call); !s) return s;
  if (Status s = check_buffer(r.call, "in", in, count); !s) return s;
  if (Status s = check_buffer(r.call, "out", out, count); !s) return s;
  return reduce_all(r);
}

Status reduce(Communicator& comm, const void* in, void* out, int64_t count, DType type, Combine how, int root,
              Lane& lane) {
  const bool wanted = comm.rank() == root;
  Reduction r{{comm, lane, "reduce", count, type, root, reduction_of(how)},
              how,
              as_bytes(in),
              wanted ? as_bytes(out) : nullptr};
  if (Status s = check(r.call); !s) return s;
  if (root < 0) return check({comm, lane, "reduce", count, type, comm.size()});
  if (Status s = check_buffer(r.call, "in", in, count); !s) return s;
  if (Status s = check_buffer(r.call, "out", out, wanted ? count : 0); !s) return s;
  return reduce_all(r);
}

Status reduce_scatter(Communicator& comm, const void* in, void* out, int64_t count, DType type, Combine how,
                      Lane& lane) {
  Reduction r{{comm, lane, "reduce_scatter", count, type, -1, reduction_of(how)}, how, as_bytes(in), as_bytes(out)};
  if (Status s = check(r.call); !s) return s;
  std::array<int64_t, kMaxRanks> counts{}, displacements{};
  const auto ranks = static_cast<size_t>(comm.size());
  for (size_t rank = 0; rank < ranks; ++rank) {
    counts[rank] = count;
    displacements[rank] = static_cast<int64_t>(rank) * count;
  }
  return scatter_parts(r, {{counts.data(), ranks}, {displacements.data(), ranks}});
}

Status reduce_scatter_v(Communicator& comm, const void* in, const Parts& parts, void* out, DType type, Combine how,
                        Lane& lane) {
  Reduction r{{comm, lane, "reduce_scatter_v", 0, type, -1, reduction_of(how)}, how, as_bytes(in), as_bytes(out)};
  if (Status s = check_parts(r.call, "parts", parts); !s) return s;
  r.call.layout = hash_of(parts.displacements, hash_of(parts.counts));
  for (const int64_t count : parts.counts) r.call.count += count;
  return scatter_parts(r, parts);
}

}  // namespace tandem
