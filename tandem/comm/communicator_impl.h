// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/comm/board.h"
#include "tandem/comm/bridge.h"
#include "tandem/comm/communicator.h"
#include "tandem/comm/flight.h"
#include "tandem/comm/fork.h"
#include "tandem/comm/peer_arenas.h"
#include "tandem/comm/stall.h"
#include "tandem/comm/ticket.h"
#include "tandem/comm/watcher.h"
#include "tandem/exec/device.h"
#include "tandem/exec/wait.h"

namespace tandem {

// What a communicator is made of; `segments[r]` is the segment of rank r, shared by the thread ranks of a process.
struct CommunicatorParts {
  int rank = 0;
  int device = 0;
  std::string name;
  std::vector<std::shared_ptr<SegmentMap>> segments;
  std::vector<int> pids;  // of rank r's process; 0 = not known or this one
  Device* resource = nullptr;
  std::string address;  // a text that its ranks share and nobody else knows
  double call_s = -1;   // see Rendezvous
  std::unique_ptr<Bridge> bridge = nullptr;  // to ranks of other hosts
  int leader = 0;                            // lowest rank of this host
  std::vector<std::string> hosts = {};       // address of each rank's host, where they met over TCP
  int ranks_per_host = 0;                    // see Communicator
};

struct Communicator::Impl final : public ForkAware {
  Impl(Communicator& owner, CommunicatorParts parts);
  ~Impl() override;
  static std::shared_ptr<Communicator> make(CommunicatorParts parts);

  // The error of a communicator that lives in a forked child, or that is dead.
  Status usable() const;
  using Ready = std::function<bool()>;
  Status wait_for(const Goal& goal, std::string_view step);
  // Waits until ready(); `goal` says whom for, to its peers and to the clock.
  Status wait_for(const Goal& goal, std::string_view step, const Ready& ready);
  Status listen_to_hosts();
  // Between hosts: waiting is also receiving.
  Status wait_pumping(const Goal& goal, std::string_view step, const Ready& ready);
  void nap(const std::atomic<uint32_t>& bell, uint32_t seen);
  // Waits until all that was lent and told to other hosts is on its way.
  void hand_over();
  Status sleep_for(const Goal& goal, std::string_view step, const Ready& ready);
  // Why waiting is in vain, if it is.
  std::optional<Failure> hopeless(const Goal& goal, const Ready& ready);
  // The first failure sticks: publishes it, wakes everybody, and returns the root cause.
  Failure die(const Failure& failure);
  std::optional<Failure> failure() const;
  void peer_ended(int rank);
  Error in_context(const Failure& failure, std::string_view step) const;
  // An operator of this rank starts: its name for error texts, and whether the communicator still lives.
  Status enter(std::string_view operation);
  void set_operation(std::string_view name);
  std::string operation_name() const;
  // Announces `mine`, with `ready` also that this rank's window is filled for that value; waits for all, compares.
  Expected<uint32_t> announce(const Fingerprint& mine, std::optional<uint32_t> ready);
  Expected<uint32_t> compare_with_peers(const Fingerprint& mine, uint64_t digest);
  Failure name_difference(const Fingerprint& mine);
  // Whether peers are to be told of this step of the own rank; injected faults act here.
  bool tells(std::string_view step) const;
  // Tells the peers once this rank was retired and has no turn left.
  void leave_when_done();

  void abandon() noexcept override;

  Communicator& owner;
  std::vector<std::shared_ptr<SegmentMap>> segments;
  std::vector<int> pids;
  const std::string address;
  const std::vector<std::string> hosts;
  Board board;
  Device* device;
  WaitLimits limits;
  TicketQueue tickets;
  FlightRecorder flight;
  uint32_t sequence = 0;
  WaitPolicy policy = WaitPolicy::oversubscribed;  // asked from the device once an operator
  std::vector<uint32_t> announced;                 // by rank, of the current operator
  // Exchanges in turns: base() after the last of them, and a `ready` value that all peers are known to have reached.
  uint32_t turns_base = 0, known_ready = 0;
  PeerArenas arenas;
  std::vector<uint32_t> sent, taken;               // pieces of messages to and from each rank
  std::vector<std::atomic<bool>> gone;             // processes that ended, by rank
  int creator;
  static constexpr size_t kNameWords = sizeof(Fingerprint::operation) / 8;
  std::atomic<uint64_t> operation[kNameWords] = {};

  mutable std::mutex mutex;  // guards root and own_error
  std::optional<Failure> root;
  std::optional<Error> own_error;  // what abort() was given on this rank
  std::atomic<bool> failed{false};

  std::unique_ptr<Watcher> watcher;
  std::unique_ptr<Bridge> bridge;
};

// Registry of this process. `group` is one number for all ranks that were made together.
uint64_t new_communicator_group();
void enroll(const std::shared_ptr<Communicator>& communicator, uint64_t group);
void strike_off(const Communicator& communicator);

// 128 random bits as text.
Expected<std::string> random_text();

// Checks a communicator's size and name.
Status check_group(int size, std::string_view name);

}  // namespace tandem
