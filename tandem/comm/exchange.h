// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "tandem/comm/communicator.h"

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

// Who reads from whom.
enum class Flow : uint8_t { everyone, from_root, to_root };

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
    if (Status s = first(call, turns, send); !s) return s;
    for (uint32_t turn = 0; turn < turns; ++turn) {
      if (turn > 0) {
        if (Status s = await_readers(turn); !s) return s;
        send(turn);
        if (Status s = hand_over(turn); !s) return s;
      }
      if constexpr (std::is_void_v<decltype(receive(turn))>) {
        receive(turn);
      } else if (Status s = receive(turn); !s) {
        return s;
      }
    }
    finish(call, turns);
    return {};
  }

 private:
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
};

}  // namespace tandem
