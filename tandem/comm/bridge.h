// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tandem/comm/board.h"
#include "tandem/comm/host_lines.h"
#include "tandem/comm/relay.h"
#include "tandem/comm/rendezvous_tcp.h"
#include "tandem/comm/segment.h"
#include "tandem/comm/ucx.h"

namespace tandem {

// The far side of a rank's communicator: it keeps a copy of the segment of every rank of another host, and sends what
// those ranks read of this rank's segment before the counters that announce it. So every operator runs between hosts as
// it does on one, in the same order of the same sums.
class Bridge final : public Relay, private Wire::Listener, private HostLines::Listener {
 public:
  // Opens the transport. `address` gives the cookie that parcels carry.
  static Expected<std::unique_ptr<Bridge>> make(int rank, int size, std::string_view address);
  ~Bridge() override;
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  std::vector<std::byte> wire_address() const { return wire_->address(); }
  // segments[r] of ranks of other hosts are copies; places[r] says where rank r lives, for messages.
  Status join(std::vector<std::shared_ptr<SegmentMap>> segments, std::vector<FarPeer> peers,
              std::vector<std::string> places);

  struct Events {
    std::function<void(Failure)> lost;  // a rank ended or cannot be reached
    std::function<void()> news;         // something arrived
  };
  // From here on the bridge is awake.
  Status start(Events events);

  void tell_state() override;
  void tell_pair(int towards) override;
  void tell_failure(const Failure& failure) override;
  // Bytes of this rank's segment for `reader` of another host, -1 for all of them. They must not change before the
  // reader has moved on.
  void lend(const std::byte* first, size_t bytes, int reader);
  bool far(int rank) const { return far_[static_cast<size_t>(rank)]; }

  // Sends and receives what can be; whether anything happened.
  bool pump();
  // The caller goes to sleep, or out of the operator: from now on the bridge receives by itself. False when something
  // has just arrived.
  bool rest();
  // A rank to which something told or lent is not yet on its way; -1: none.
  int unsent() const;
  // Leaves: waits until the others have all that was sent, a moment at most. Not after a failure.
  void leave(bool failed);
  void abandon() noexcept;

 private:
  struct Parcel;
  struct StateWords;
  struct PairWords;
  struct Held {
    std::vector<std::byte> header, payload;
  };
  struct Far {
    std::string place;
    uint64_t sent = 0;              // parcels
    uint64_t applied = 0;           // parcels
    std::map<uint64_t, Held> held;  // came before its turn
    size_t held_bytes = 0;
    std::optional<uint64_t> farewell;  // it leaves after that parcel
    bool leaves = false;
    bool ended = false;
    bool heard_all = false;
    std::string broken;  // what the transport said
    int64_t broken_ns = 0;
  };

  Bridge(int rank, int size);
  Far& of(int rank) { return peers_[static_cast<size_t>(rank)]; }
  void post(int to, uint32_t kind, uint64_t at, std::span<const std::byte> payload);
  void arrived(std::span<const std::byte> header, std::span<const std::byte> payload) override;
  void broken(int peer, const char* reason) override;
  void apply(const Parcel& parcel, std::span<const std::byte> payload);
  void apply_bytes(int from, uint64_t at, std::span<const std::byte> payload);
  void apply_state(int from, std::span<const std::byte> payload);
  void apply_pair(int from, std::span<const std::byte> payload);
  void hold(Far& far, const Parcel& parcel, std::span<const std::byte> payload);
  StateWords state_words() const;
  bool rest_locked();
  void answer_farewells();
  void report_broken();
  void heard(int rank, const LineMessage& message) override;
  void ended(int rank, int error) override;
  void rang() override;
  int patience_ms() override;
  void on_time() override;

  int rank_;
  std::vector<bool> far_;
  uint64_t cookie_[2] = {};
  double link_s_ = 0;
  mutable std::mutex mutex_;  // guards the transport and peers_
  std::vector<Far> peers_;
  std::vector<std::shared_ptr<SegmentMap>> segments_;
  std::unique_ptr<Wire> wire_;
  Descriptor doorbell_;   // rings once for what the transport receives after rest()
  bool resting_ = false;  // guarded by mutex_
  Events events_;
  std::vector<Descriptor> waiting_lines_;
  HostLines lines_;
};

}  // namespace tandem
