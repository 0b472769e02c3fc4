// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/communicator.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "tandem/comm/communicator_impl.h"

// The public face; how waits and failures work stands in communicator_impl.cpp.
namespace tandem {

Communicator::Communicator(int rank, int size, int device, std::string name)
    : rank_(rank), size_(size), device_(device), name_(std::move(name)) {}

Communicator::~Communicator() = default;

std::string Communicator::describe() const {
  return fmt::format("communicator {}: rank {} of {} on device {}, {}, window {} KiB a rank", name_, rank_, size_,
                     device_,
                     size_ == 1         ? "alone"
                     : several_hosts_   ? "processes of several hosts"
                     : impl_->watcher   ? "processes"
                                        : "threads",
                     window_bytes_ >> 10);
}

uint64_t Communicator::take_ticket() { return impl_->foreign() ? 0 : impl_->tickets.take(); }

Status Communicator::await_turn(uint64_t ticket) {
  if (Status s = impl_->usable(); !s) return s;
  if (impl_->tickets.closed_to(ticket)) {
    return fail(ErrorCode::cancelled,
                fmt::format("communicator {}: rank {} has destroyed it, one that is in use wanted", name_, rank_));
  }
  const auto outcome = impl_->tickets.await(ticket, impl_->limits.call_s, [this] { return !health(); });
  if (outcome == TicketQueue::Outcome::late) {
    impl_->die({ErrorCode::timed_out, rank_,
                fmt::format("rank {}: the turn of operator {} did not come for {:.3g} s (HCCL_EXEC_TIMEOUT), {} before "
                            "it has not ended; do streams of two communicators wait for each other?",
                            rank_, ticket, impl_->limits.call_s, impl_->operation_name())});
  }
  return health();
}

void Communicator::end_turn(uint64_t ticket) {
  if (impl_->foreign()) return;
  impl_->tickets.end(ticket);
  impl_->leave_when_done();
}

void Communicator::retire() {
  strike_off(*this);
  if (impl_->foreign()) return;
  impl_->tickets.close();
  impl_->leave_when_done();
}

Expected<uint32_t> Communicator::begin(const Fingerprint& mine) {
  const std::string_view name(mine.operation, strnlen(mine.operation, sizeof mine.operation));
  if (Status s = impl_->enter(name); !s) return fail(s.error());
  return impl_->announce(mine, std::nullopt);
}

uint32_t Communicator::announced(int rank) const { return impl_->announced.at(static_cast<size_t>(rank)); }

void Communicator::end() {
  impl_->flight.end();
  if (size_ == 1 || impl_->foreign()) return;
  impl_->tells("end");
  if (impl_->bridge) impl_->hand_over();
  impl_->board.count_step();
  impl_->board.own().progress.inside.store(0, std::memory_order_release);
  if (!impl_->bridge) return;
  impl_->bridge->tell_state();
  impl_->bridge->rest();
}

void Communicator::lend_far(const std::byte* first, size_t bytes, int reader) {
  if (!impl_->foreign()) impl_->bridge->lend(first, bytes, reader);
}

void Communicator::arrive(Signal signal, uint32_t value) {
  if (size_ == 1 || impl_->foreign()) return;
  constexpr std::string_view kSteps[kSignals] = {"ready", "done", "free"};
  if (impl_->tells(kSteps[static_cast<int>(signal)])) impl_->board.publish(static_cast<int>(signal), value);
}

Status Communicator::await(Signal signal, int peer, uint32_t value, std::string_view step) {
  if (size_ == 1) return {};
  if (impl_->foreign()) return impl_->usable();
  if (peer < 0 || peer >= size_) {
    return fail(ErrorCode::internal, fmt::format("await: peer {}, 0 to {} wanted", peer, size_ - 1));
  }
  impl_->tells("await");
  return impl_->wait_for({peer, static_cast<int>(signal), value}, step);
}

Status Communicator::await_all(Signal signal, uint32_t value, std::string_view step) {
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    if (Status s = await(signal, peer, value, step); !s) return s;
  }
  return {};
}

bool Communicator::all_reached(Signal signal, uint32_t value) const {
  if (size_ == 1) return true;
  if (impl_->foreign()) return false;
  if (impl_->bridge) impl_->bridge->pump();
  for (int peer = 0; peer < size_; ++peer) {
    if (peer != rank_ && !impl_->board.reached({peer, static_cast<int>(signal), value})) return false;
  }
  return true;
}

void Communicator::abort(const Error& reason) {
  if (impl_->foreign()) return;
  if (impl_->board.left(rank_)) return;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->root) return;
    impl_->own_error = reason;
  }
  impl_->die({reason.code, rank_, fmt::format("rank {} aborted: {}", rank_, reason.message)});
}

Error Communicator::disagree(int culprit, std::string text) {
  if (impl_->foreign()) return impl_->usable().error();
  return impl_->in_context(impl_->die({ErrorCode::mismatch, culprit, std::move(text)}), "begin");
}

Status Communicator::health() const {
  if (Status s = impl_->usable(); !s) return s;
  if (auto failure = impl_->board.published()) impl_->die(*failure);
  return impl_->usable();
}

}  // namespace tandem
