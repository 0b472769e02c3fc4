// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "tandem/comm/communicator.h"
#include "tandem/comm/peer_arenas.h"
#include "tandem/comm/segment.h"
#include "tandem/exec/trace.h"

// Exchanges in turns: what every collective is made of.
//
// In turn t of an operator each rank (1) writes what others want of it into its half of the window, (2) publishes
// `ready` = base() + 1 + t, (3) waits for `ready` of those it reads from, (4) reads their halves. Halves alternate with
// the value of `ready`, also from one operator to the next, so
//  - a rank that publishes v has read all it wants of the halves of v - 1;
//  - so the half of v may be overwritten for v + 2 once all who read it have published v + 1. Where all wait for all,
//    step (3) of turn t + 1 has seen that: nobody ever waits for a half to become free.
// The first turn needs no wait of its own: call and `ready` are published together, and no result is written before
// the calls of all ranks were compared.
namespace tandem {

// Where every rank's buffers are device memory, a call may do without the window: `direct(views)` reads the peers' `in`
// and writes their `out` in place between two waits for all, the comparison of calls and `ready` = base() + 1.

// Who reads from whom.
enum class Flow : uint8_t { everyone, from_root, to_root };

// What peers read (in) and write (out) of a rank in a direct call; bytes 0: nothing of it.
struct DirectBuffers {
  const void* in = nullptr;
  size_t in_bytes = 0;
  void* out = nullptr;
  size_t out_bytes = 0;
};
// The same of every rank, as this process sees it.
struct DirectViews {
  std::array<const std::byte*, kMaxRanks> in{};
  std::array<std::byte*, kMaxRanks> out{};
};

class Exchange {
 public:
  Exchange(Communicator& communicator, Flow flow, std::string_view step, int root = 0)
      : comm_(communicator), flow_(flow), root_(root), step_(step) {}

  // Bytes of a half, in whole lines.
  static size_t half_bytes(const Communicator& communicator) { return communicator.window_bytes() / 2 / 64 * 64; }
  // Half of `rank` in turn `turn` of this operator.
  std::byte* half(int rank, int64_t turn) const {
    const size_t parity = (comm_.base() + 1 + static_cast<uint32_t>(turn)) % 2;
    return comm_.window(rank) + parity * half_bytes(comm_);
  }

  // send(turn) writes the own half, receive(turn) reads the others' and may write the own half of turn + 1; it returns
  // nothing or a Status. `turns` may differ between ranks only if each announces its own as call.local.
  template <class Send, class Receive>
  Status run(const Fingerprint& call, uint32_t turns, const Send& send, const Receive& receive) {
    const TraceSpan span(TraceKind::operation, name_of(call), comm_.rank());
    if (Status s = first(call, turns, send); !s) return s;
    return run_turns(call, turns, send, receive);
  }

  // The same, or direct(views) in place of all turns. buffers_of(rank) tells what a direct call touches of that rank:
  // bytes of any rank, addresses of this one's; bytes 0 on this rank refuse it.
  template <class Send, class Receive, class BuffersOf, class Direct>
  Status run(const Fingerprint& call, uint32_t turns, const BuffersOf& buffers_of, const Send& send,
             const Receive& receive, const Direct& direct) {
    const TraceSpan span(TraceKind::operation, name_of(call), comm_.rank());
    const DirectBuffers own = buffers_of(comm_.rank());
    const DevicePin in = DevicePin::hold(own.in, own.in_bytes), out = DevicePin::hold(own.out, own.out_bytes);
    const bool offers = offer(own, in, out);
    bool ahead = turns > 0 && !offers;
    if (Status s = enter(call, ahead); !s) return s;
    if (ahead) send(0u);
    if (Status s = announce(call, ahead); !s) return s;
    const auto agreed = agree();
    if (!agreed) return fail(agreed.error());
    if (!*agreed) {
      if (Status s = catch_up(turns, ahead, send); !s) return s;
      return run_turns(call, turns, send, receive);
    }
    DirectViews views;
    for (int rank = 0; rank < comm_.size(); ++rank) {
      if (Status s = view(rank, buffers_of(rank), views); !s) return s;
    }
    direct(views);
    if (Status s = all_done(); !s) return s;
    finish(call, 1);
    return {};
  }

 private:
  static std::string_view name_of(const Fingerprint& call) {
    return {call.operation, strnlen(call.operation, sizeof call.operation)};
  }

  template <class Send, class Receive>
  Status run_turns(const Fingerprint& call, uint32_t turns, const Send& send, const Receive& receive) {
    for (uint32_t turn = 0; turn < turns; ++turn) {
      if (turn > 0) {
        if (Status s = await_readers(turn); !s) return s;
        const TraceSpan span(TraceKind::publish, "piece", comm_.rank(), turn);
        send(turn);
        if (Status s = hand_over(turn); !s) return s;
      }
      const TraceSpan span(call.reduction != 0 ? TraceKind::reduce : TraceKind::copy, "piece", comm_.rank(), turn);
      if constexpr (std::is_void_v<decltype(receive(turn))>) {
        receive(turn);
      } else if (Status s = receive(turn); !s) {
        return s;
      }
    }
    finish(call, turns);
    return {};
  }

  // Turn 0 and the comparison of calls.
  template <class Send>
  Status first(const Fingerprint& call, uint32_t turns, const Send& send) {
    bool ahead = turns > 0;
    if (Status s = enter(call, ahead); !s) return s;
    if (ahead) send(0u);
    if (Status s = announce(call, ahead); !s) return s;
    if (ahead || turns == 0) return {};
    send(0u);
    return hand_over(0);
  }

  // After a call that was not done directly although ranks offered to: those had not written their halves yet.
  template <class Send>
  Status catch_up(uint32_t turns, bool ahead, const Send& send) {
    if (turns == 0) return {};
    if (ahead) return any_offered_ ? await_stragglers() : Status{};
    send(0u);
    return hand_over(0);
  }

  // Announces with the next call where this rank's buffers lie; whether it did.
  bool offer(const DirectBuffers& own, const DevicePin& in, const DevicePin& out);
  struct Offer {
    Place in, out;
  };
  // What a rank announced, copied. A peer that changes it between two looks gets what at() checks, or an error.
  Offer offer_of(int rank) const;
  template <class Visit>
  void for_each_place(const Visit& visit) const;
  // Whether every rank can reach what all offered; all ranks find the same.
  Expected<bool> agree();
  Expected<bool> vote();
  Status view(int rank, const DirectBuffers& buffers, DirectViews& views);
  Status await_stragglers();
  // Nobody leaves a direct call before all have read and written.
  Status all_done();

  // Whether the half may be written before the peers are known to have called: `ahead` in and out.
  Status enter(const Fingerprint& call, bool& ahead);
  Status announce(const Fingerprint& call, bool ahead);
  Status await_readers(uint32_t turn);
  Status hand_over(uint32_t turn);
  Status await_ready(uint32_t value);
  void finish(const Fingerprint& call, uint32_t turns);
  bool reads_from(int peer) const;
  bool read_by(int peer) const;

  Communicator& comm_;
  Flow flow_;
  int root_;
  std::string_view step_;
  bool any_offered_ = false;
};

}  // namespace tandem
