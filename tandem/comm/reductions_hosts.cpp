// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "tandem/comm/exchange.h"
#include "tandem/comm/reduction.h"

// all_reduce between hosts: each host sums through its windows, the hosts exchange only sums. A host sends 2 (H - 1) /
// H of the bytes of one rank in all, where the flat form sends that once for each rank of the host.
namespace tandem {
namespace {

constexpr size_t kLeastBytes = 256 * 1024;

// A rounded sum of 16-bit floats is no subtree: those are rounded once, at the root. An average divides by all ranks.
bool subtrees_are_exact(const Reduction& r) {
  if (r.how == Combine::maximum || r.how == Combine::minimum) return true;
  return r.how != Combine::average && r.call.type != DType::f16 && r.call.type != DType::bf16;
}

// A chunk is ranks x hosts pieces: slice l of it belongs to the l-th rank of each host, piece j of the slice to that of
// host j. Chunk c goes through four turns: (c) inputs to the ranks beside, who sum their slice; (c + 1) host sums to
// the owner of the piece, who combines them; (c + 2) pieces to the ranks beside and the twins on other hosts; (c + 3)
// what the twins had, to the ranks beside. Each turn's half holds one region for each of these.
class HostsReduction {
 public:
  explicit HostsReduction(const Reduction& reduction)
      : r_(reduction),
        beside_(r_.call.comm.ranks_per_host()),
        hosts_(r_.size() / beside_),
        place_(r_.rank() % beside_),
        host_(r_.rank() / beside_),
        exchange_(r_.call.comm, Flow::everyone, "waiting for sums of hosts") {
    const auto pieces = static_cast<size_t>(r_.size() + 2 * hosts_ + 1);
    const size_t most = Exchange::half_bytes(r_.call.comm) / pieces / kLine * kLine;
    const size_t wanted = kTurnBytes / static_cast<size_t>(r_.size()) / kLine * kLine;
    piece_ = static_cast<int64_t>(std::clamp(wanted, kLine, std::max(most, kLine)) / r_.call.element());
    chunk_ = piece_ * r_.size();
    chunks_ = ceil_div(r_.call.count, chunk_);
    sums_at_ = r_.call.bytes(chunk_);
    results_at_ = sums_at_ + r_.call.bytes(piece_ * hosts_);
    copies_at_ = results_at_ + r_.call.bytes(piece_);
  }

  // Regions of one line a piece fit into a half.
  static bool fits(const Reduction& r) {
    const auto pieces = static_cast<size_t>(r.size() + 2 * (r.size() / r.call.comm.ranks_per_host()) + 1);
    return Exchange::half_bytes(r.call.comm) >= pieces * kLine;
  }

  Status run() {
    return exchange_.run(
        r_.call.fingerprint(), static_cast<uint32_t>(chunks_ + 3),
        [&](int64_t turn) {
          if (turn < chunks_) give(turn);
        },
        [&](int64_t turn) {
          if (turn < chunks_) sum_slice(turn);
          if (is_chunk(turn - 1)) combine_piece(turn);
          if (is_chunk(turn - 2)) take_pieces(turn);
          if (is_chunk(turn - 3)) take_copies(turn);
        });
  }

 private:
  struct Span {
    int64_t first, count;  // elements
  };
  bool is_chunk(int64_t chunk) const { return chunk >= 0 && chunk < chunks_; }
  // Pieces [first, last) of a chunk, counted from the chunk's begin.
  Span pieces(int64_t chunk, int first, int last) const {
    const int64_t length = std::min(chunk_, r_.call.count - chunk * chunk_);
    const int64_t begin = std::min(length, first * piece_);
    return {begin, std::min(length, last * piece_) - begin};
  }
  Span slice(int64_t chunk, int place) const { return pieces(chunk, place * hosts_, (place + 1) * hosts_); }
  Span piece(int64_t chunk, int place, int host) const {
    return pieces(chunk, place * hosts_ + host, place * hosts_ + host + 1);
  }
  size_t at(int64_t chunk, const Span& span) const { return r_.call.bytes(chunk * chunk_ + span.first); }
  int rank_of(int host, int place) const { return host * beside_ + place; }
  std::byte* own(int64_t turn, size_t offset) const { return exchange_.half(r_.rank(), turn) + offset; }
  const std::byte* of(int rank, int64_t turn, size_t offset) const { return exchange_.half(rank, turn) + offset; }
  size_t nth(int index) const { return r_.call.bytes(index * piece_); }

  // All slices but the own.
  void give(int64_t chunk) const {
    for (int place = 0; place < beside_; ++place) {
      const Span span = slice(chunk, place);
      if (place != place_) copy_bytes(own(chunk, r_.call.bytes(span.first)), r_.in + at(chunk, span), bytes(span));
    }
  }

  void sum_slice(int64_t chunk) const {
    for (int host = 0; host < hosts_; ++host) {
      const Span span = piece(chunk, place_, host);
      std::array<const void*, kMaxRanks> inputs{};
      for (int place = 0; place < beside_; ++place) {
        inputs[static_cast<size_t>(place)] =
            place == place_ ? r_.in + at(chunk, span) : of(rank_of(host_, place), chunk, r_.call.bytes(span.first));
      }
      std::byte* sum = own(chunk + 1, sums_at_ + nth(host));
      combine(inputs.data(), beside_, span, sum);
      if (host != host_) r_.call.comm.lend(sum, bytes(span), rank_of(host, place_));
    }
  }

  void combine_piece(int64_t turn) const {
    const int64_t chunk = turn - 1;
    const Span span = piece(chunk, place_, host_);
    std::array<const void*, kMaxRanks> inputs{};
    for (int host = 0; host < hosts_; ++host) {
      inputs[static_cast<size_t>(host)] = of(rank_of(host, place_), turn, sums_at_ + nth(host_));
    }
    std::byte* result = own(turn + 1, results_at_);
    combine(inputs.data(), hosts_, span, result);
    r_.copy_result(r_.out + at(chunk, span), result, bytes(span));
    for (int host = 0; host < hosts_; ++host) {
      if (host != host_) r_.call.comm.lend(result, bytes(span), rank_of(host, place_));
    }
  }

  void take_pieces(int64_t turn) const {
    const int64_t chunk = turn - 2;
    for (int place = 0; place < beside_; ++place) {
      if (place != place_) take(chunk, piece(chunk, place, host_), of(rank_of(host_, place), turn, results_at_));
    }
    for (int host = 0; host < hosts_; ++host) {
      if (host == host_) continue;
      const Span span = piece(chunk, place_, host);
      const std::byte* result = of(rank_of(host, place_), turn, results_at_);
      copy_bytes(own(turn + 1, copies_at_ + nth(host)), result, bytes(span));
      take(chunk, span, result);
    }
  }

  void take_copies(int64_t turn) const {
    const int64_t chunk = turn - 3;
    for (int place = 0; place < beside_; ++place) {
      for (int host = 0; place != place_ && host < hosts_; ++host) {
        if (host == host_) continue;
        take(chunk, piece(chunk, place, host), of(rank_of(host_, place), turn, copies_at_ + nth(host)));
      }
    }
  }

  size_t bytes(const Span& span) const { return r_.call.bytes(span.count); }
  void take(int64_t chunk, const Span& span, const std::byte* from) const {
    r_.take_result(r_.out + at(chunk, span), from, bytes(span));
  }
  void combine(const void* const* inputs, int count, const Span& span, std::byte* to) const {
    if (span.count == 0) return;
    default_table().reduce.combine({span.count, count, inputs, r_.call.type, r_.how, to, false}, r_.call.lane);
  }

  const Reduction& r_;
  int beside_, hosts_, place_, host_;
  Exchange exchange_;
  int64_t piece_ = 0, chunk_ = 0, chunks_ = 0;           // elements; chunks
  size_t sums_at_ = 0, results_at_ = 0, copies_at_ = 0;  // regions of a half
};

}  // namespace

bool sums_inside_hosts(const Reduction& r) {
  return r.call.comm.ranks_per_host() > 1 && r.call.root < 0 && r.call.bytes(r.call.count) >= kLeastBytes &&
         subtrees_are_exact(r) && HostsReduction::fits(r);
}

Status reduce_inside_hosts(const Reduction& r) { return HostsReduction(r).run(); }

}  // namespace tandem
