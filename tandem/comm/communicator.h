// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/dtype.h"
#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

class Exchange;
class Messages;

// How ranks meet. Processes of one host meet at a Unix socket, whose abstract name is derived from `address`. With an
// address "tcp://host:port/anything" they meet at rank 0, which listens there (hosts: an IPv6 address in brackets), and
// may live on several hosts; what follows the port is part of the secret they share.
struct Rendezvous {
  int rank = 0;
  int size = 1;
  std::string name;     // of the communicator; all ranks give the same
  std::string address;  // any text all ranks share, unguessable when other users are on the host
  int device = 0;       // logical device of this rank in its process
  double timeout_s = 0;    // 0 = HCCL_CONNECT_TIMEOUT, 120 where that is unset
  double call_s = -1;      // 0 = for ever; below 0 = HCCL_EXEC_TIMEOUT, 300 where that is unset
  uint32_t members = 0;    // split(): digest of the ranks listed, compared between them
};

// What every rank announces; compared field by field between ranks before any rank writes a result, any difference is
// an error on all of them. `local` is announced but not compared.
struct Fingerprint {
  char operation[24] = {};
  int64_t rows = 0;
  int64_t n = 0;
  int64_t chunk_rows = 0;
  uint64_t epsilon_bits = 0;
  DType output = DType::none;
  uint8_t wire = 0;       // 0 = f32 partials
  uint8_t reduction = 0;  // 0 = sum
  uint8_t tail = 0;       // operator's own enumeration
  uint8_t mode = 0;       // 0 = exact
  uint8_t reserved[3] = {};
  uint32_t local = 0;     // bits about this rank only (has bias, has x3)
  int32_t root = -1;
  int64_t count = -1;     // collectives: elements, in place of rows and n
  uint64_t layout = 0;    // hash of counts and displacements that all ranks must share
};

// Counters a rank publishes in its window; they only grow and are compared by difference.
enum class Signal : uint8_t { ready, done, free };
inline constexpr int kSignals = 3;

// A group of ranks and their symmetric window. One object per rank; not shared between streams without a turn.
class Communicator {
 public:
  // Ranks as threads: one object per rank, all with one name. devices[i] is the logical device of rank i; empty means
  // 0..size-1. window_bytes 0 = TANDEM_WINDOW_MB capped by HCCL_BUFFSIZE.
  static Expected<std::vector<std::shared_ptr<Communicator>>> local(int size, std::span<const int> devices = {},
                                                                    std::string_view name = {},
                                                                    size_t window_bytes = 0);
  // Ranks as processes. Blocks until all have joined or the timeout passes.
  static Expected<std::shared_ptr<Communicator>> connect(const Rendezvous& rendezvous, size_t window_bytes = 0);
  // A communicator of the ranks `ranks` of this one, in that order. Exactly these call it, each with the same list and
  // the same `id`; it blocks until all have. Name empty = this one's name, "_sub_" and `id`. This communicator may be in
  // use meanwhile, and may have failed: survivors that agree on a list go on without the others.
  Expected<std::shared_ptr<Communicator>> split(std::span<const int> ranks, uint64_t id, std::string_view name = {},
                                                size_t window_bytes = 0, double call_s = -1) const;
  // The communicator of that name on that device, in this process.
  static Expected<std::shared_ptr<Communicator>> find(std::string_view name, int device);

  virtual ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int device() const { return device_; }
  const std::string& name() const { return name_; }
  std::string describe() const;

  // --- order between streams: ticket in submission order; an operator starts when its ticket is up.
  uint64_t take_ticket();
  Status await_turn(uint64_t ticket);
  void end_turn(uint64_t ticket);  // also for a ticket whose work was dropped

  // --- one operator. begin() announces `mine`, waits for all ranks, compares, and returns the OR of all `local` words.
  Expected<uint32_t> begin(const Fingerprint& mine);
  // The `local` word `rank` announced for the current operator (valid between begin() and end()).
  uint32_t announced(int rank) const;
  // Ends the operator of this rank (progress bookkeeping only; no wait).
  void end();

  // --- symmetric window
  size_t window_bytes() const { return window_bytes_; }
  std::byte* window(int rank) const { return windows_[static_cast<size_t>(rank)]; }
  // Number of steps this communicator has completed with `signal` before the current operator; signals carry
  // base + 1 + step and never repeat. All ranks agree because they run the same operators.
  uint32_t base() const { return base_; }
  // Ranks of other hosts have copies of windows: an operator says what `reader` (-1: every rank) will read of this rank's
  // window before it arrives, and leaves it as it is until the reader has moved on. Nothing to do on one host.
  void lend(const std::byte* first, size_t bytes, int reader = -1) {
    if (several_hosts_ && bytes > 0) lend_far(first, bytes, reader);
  }
  // Windows of other hosts' ranks are copies: only what was lent is in them, and nothing may be written there.
  bool several_hosts() const { return several_hosts_; }
  // Where there are several hosts, each with the same power of two of neighbouring ranks: that number. Else 0.
  int ranks_per_host() const { return ranks_per_host_; }
  // Publishes that this rank reached `value` (release) and wakes waiters.
  void arrive(Signal signal, uint32_t value);
  // Waits until rank `peer` (or every rank) reached `value` (acquire). `step` names the place for the error text.
  Status await(Signal signal, int peer, uint32_t value, std::string_view step);
  Status await_all(Signal signal, uint32_t value, std::string_view step);
  // Whether await_all() would return at once. Between hosts it also moves what is under way.
  bool all_reached(Signal signal, uint32_t value) const;
  // Consumes `steps` signal values: call once per operator with the same number on all ranks, before end().
  void advance(uint32_t steps) { base_ += steps; }

  // The owner has no further use for it, whoever still holds it: find() does not know it any more, turns taken from now
  // on are refused, and peers learn that this rank left as soon as every turn taken before has ended.
  void retire();

  // --- failure. The first reason sticks and is seen by all ranks; the communicator stays dead.
  void abort(const Error& reason);
  Status health() const;
  // After a failure, ranks as processes: a new communicator of those that are left, in the old order. Every survivor
  // calls it; dead ranks, ranks that left and the one that hung are not waited for, and who does not call it within
  // timeout_s (0 = HCCL_CONNECT_TIMEOUT) is left out. A death meanwhile is an error; then it may be called again.
  Expected<std::shared_ptr<Communicator>> shrink(double timeout_s = 0);
  // A difference between the ranks' calls that every rank finds by itself, in the same words.
  Error disagree(int culprit, std::string text);

 protected:
  Communicator(int rank, int size, int device, std::string name);
  struct Impl;
  void lend_far(const std::byte* first, size_t bytes, int reader);
  friend class Exchange;
  friend class Messages;
  int rank_, size_, device_;
  std::string name_;
  size_t window_bytes_ = 0;
  std::vector<std::byte*> windows_;
  uint32_t base_ = 0;
  bool several_hosts_ = false;
  int ranks_per_host_ = 0;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem
#pragma GCC visibility pop
