// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/exchange.h"

#include <fmt/format.h>

#include <cstring>
#include <iterator>

#include "tandem/comm/communicator_impl.h"

namespace tandem {

bool Exchange::reads_from(int peer) const {
  if (peer == comm_.rank()) return false;
  if (flow_ == Flow::everyone) return true;
  return flow_ == Flow::from_root ? peer == root_ : comm_.rank() == root_;
}

bool Exchange::read_by(int peer) const {
  if (peer == comm_.rank()) return false;
  if (flow_ == Flow::everyone) return true;
  return flow_ == Flow::from_root ? comm_.rank() == root_ : peer == root_;
}

// An operator that uses windows in another way knows nothing of halves; after one, begin() alone tells that all left.
Status Exchange::enter(const Fingerprint& call, bool& ahead) {
  Communicator::Impl& impl = *comm_.impl_;
  const std::string_view name(call.operation, strnlen(call.operation, sizeof call.operation));
  if (Status s = impl.enter(name); !s) return s;
  ahead = ahead && impl.turns_base == comm_.base();
  return ahead ? await_ready(comm_.base()) : Status{};
}

// All peers have read what they want of the half that value + 1 uses.
Status Exchange::await_ready(uint32_t value) {
  Communicator::Impl& impl = *comm_.impl_;
  if (static_cast<int32_t>(impl.known_ready - value) >= 0) return {};
  if (Status s = comm_.await_all(Signal::ready, value, step_); !s) return s;
  impl.known_ready = value;
  return {};
}

Status Exchange::announce(const Fingerprint& call, bool ahead) {
  Communicator::Impl& impl = *comm_.impl_;
  const uint32_t value = comm_.base() + 1;
  const auto begun = impl.announce(call, ahead ? std::optional(value) : std::nullopt);
  if (!begun) return fail(begun.error());
  impl.known_ready = ahead ? value : comm_.base();
  return {};
}

// The two slots of places follow the two of fingerprints (see compare_with_peers()).
bool Exchange::offer(const DirectBuffers& own, const DevicePin& in, const DevicePin& out) {
  // Nobody maps device memory of another host.
  if (comm_.size() == 1 || comm_.several_hosts() || comm_.impl_->foreign()) return false;
  const bool any = own.in_bytes + own.out_bytes > 0;
  const bool offers = any && in.held() == (own.in_bytes > 0) && out.held() == (own.out_bytes > 0);
  const Place a = offers && in.held() ? Place::of(in.place()) : Place{};
  const Place b = offers && out.held() ? Place::of(out.place()) : Place{};
  CounterLine& line = comm_.impl_->board.own().counters[kCalled];
  auto& places = line.places[(comm_.impl_->sequence + 1) % 2];
  const uint64_t words[4] = {a.arena, a.offset, b.arena, b.offset};
  for (size_t i = 0; i < std::size(words); ++i) places[i].store(words[i], std::memory_order_relaxed);
  return offers;
}

Exchange::Offer Exchange::offer_of(int rank) const {
  const Communicator::Impl& impl = *comm_.impl_;
  const auto& words = impl.board.of(rank).counters[kCalled].places[impl.sequence % 2];
  return {{words[0].load(std::memory_order_relaxed), words[1].load(std::memory_order_relaxed)},
          {words[2].load(std::memory_order_relaxed), words[3].load(std::memory_order_relaxed)}};
}

template <class Visit>
void Exchange::for_each_place(const Visit& visit) const {
  for (int rank = 0; rank < comm_.size(); ++rank) {
    const Offer offer = offer_of(rank);
    if (offer.in.arena != 0) visit(rank, offer.in);
    if (offer.out.arena != 0) visit(rank, offer.out);
  }
}

Expected<bool> Exchange::agree() {
  if (comm_.size() == 1) return false;
  bool all = true;
  for (int rank = 0; rank < comm_.size(); ++rank) {
    const Offer offer = offer_of(rank);
    const bool has = (offer.in.arena | offer.out.arena) != 0;
    any_offered_ = any_offered_ || has;
    all = all && has;
  }
  if (!all) return false;
  PeerArenas& arenas = comm_.impl_->arenas;
  arenas.make_room(2 * static_cast<size_t>(comm_.size()));
  bool known = true, refused = false;
  for_each_place([&](int rank, const Place& place) {
    const PeerArenas::Known state = arenas.known(rank, place.arena);
    refused = refused || state == PeerArenas::Known::unreachable;
    known = known && state == PeerArenas::Known::reachable;
  });
  if (refused) return false;
  return known ? Expected<bool>(true) : vote();
}

// Once for each new arena: one more wait for all.
Expected<bool> Exchange::vote() {
  Communicator::Impl& impl = *comm_.impl_;
  const size_t slot = impl.sequence % 2;
  bool all = true;
  for_each_place([&](int rank, const Place& place) { all = impl.arenas.reach(rank, place) && all; });
  impl.board.own().counters[kCalled].vote[slot].store(all ? 1 : 0, std::memory_order_relaxed);
  comm_.arrive(Signal::done, comm_.base() + 1);
  if (Status s = comm_.await_all(Signal::done, comm_.base() + 1, "mapping device memory"); !s) return fail(s.error());
  for (int rank = 0; rank < comm_.size(); ++rank) {
    all = all && impl.board.of(rank).counters[kCalled].vote[slot].load(std::memory_order_relaxed) != 0;
  }
  for_each_place([&](int rank, const Place& place) { impl.arenas.remember(rank, place.arena, all); });
  return all;
}

Status Exchange::view(int rank, const DirectBuffers& buffers, DirectViews& views) {
  const auto index = static_cast<size_t>(rank);
  if (rank == comm_.rank()) {
    views.in[index] = static_cast<const std::byte*>(buffers.in);
    views.out[index] = static_cast<std::byte*>(buffers.out);
    return {};
  }
  const Offer offer = offer_of(rank);
  const PeerArenas& arenas = comm_.impl_->arenas;
  if (buffers.in_bytes > 0) views.in[index] = arenas.at(rank, offer.in, buffers.in_bytes);
  if (buffers.out_bytes > 0) views.out[index] = arenas.at(rank, offer.out, buffers.out_bytes);
  const bool whole =
      (buffers.in_bytes == 0 || views.in[index] != nullptr) && (buffers.out_bytes == 0 || views.out[index] != nullptr);
  if (whole) return {};
  return fail(comm_.disagree(rank, fmt::format("rank {} announced device memory outside its arena", rank)));
}

// Ranks that wrote their halves before they announced the call look for those that did not.
Status Exchange::await_stragglers() {
  comm_.impl_->known_ready = comm_.base();
  return await_ready(comm_.base() + 1);
}

Status Exchange::all_done() {
  comm_.arrive(Signal::ready, comm_.base() + 1);
  return await_ready(comm_.base() + 1);
}

Status Exchange::await_readers(uint32_t turn) {
  const uint32_t value = comm_.base() + turn;
  if (flow_ == Flow::everyone) return await_ready(value);
  for (int peer = 0; peer < comm_.size(); ++peer) {
    if (!read_by(peer)) continue;
    if (Status s = comm_.await(Signal::ready, peer, value, step_); !s) return s;
  }
  return {};
}

Status Exchange::hand_over(uint32_t turn) {
  const uint32_t value = comm_.base() + 1 + turn;
  comm_.arrive(Signal::ready, value);
  if (flow_ == Flow::everyone) return await_ready(value);
  for (int peer = 0; peer < comm_.size(); ++peer) {
    if (!reads_from(peer)) continue;
    if (Status s = comm_.await(Signal::ready, peer, value, step_); !s) return s;
  }
  return {};
}

// All counters end at the same value, as if every signal had been used: they are compared by difference.
void Exchange::finish(const Fingerprint& call, uint32_t turns) {
  Communicator::Impl& impl = *comm_.impl_;
  uint32_t all = turns;
  if (call.local != 0) {
    for (int peer = 0; peer < comm_.size(); ++peer) all = std::max(all, comm_.announced(peer));
  }
  const uint32_t last = comm_.base() + all;
  if (all > turns) comm_.arrive(Signal::ready, last);
  if (all > 0 && comm_.size() > 1) {
    impl.board.note(static_cast<int>(Signal::done), last);
    impl.board.note(static_cast<int>(Signal::free), last);
  }
  comm_.advance(all);
  impl.turns_base = comm_.base();
  comm_.end();
}

}  // namespace tandem
