// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/exchange.h"

#include <cstring>

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
