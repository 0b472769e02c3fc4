// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/comm/board.h"
#include "tandem/comm/communicator.h"
#include "tandem/comm/fork.h"
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
};

struct Communicator::Impl final : public ForkAware {
  Impl(Communicator& owner, CommunicatorParts parts);
  ~Impl() override;
  static std::shared_ptr<Communicator> make(CommunicatorParts parts);

  // The error of a communicator that lives in a forked child, or that is dead.
  Status usable() const;
  Status wait_for(const Goal& goal, std::string_view step);
  Status sleep_for(const Goal& goal, std::string_view step);
  // Why waiting for `goal` is in vain, if it is.
  std::optional<Failure> hopeless(const Goal& goal);
  // The first failure sticks: publishes it, wakes everybody, and returns the root cause.
  Failure die(const Failure& failure);
  std::optional<Failure> failure() const;
  void peer_ended(int rank);
  Error in_context(const Failure& failure, std::string_view step) const;
  void set_operation(const Fingerprint& fingerprint);
  std::string operation_name() const;
  Expected<uint32_t> compare_with_peers(const Fingerprint& mine);
  // Tells the peers once this rank was retired and has no turn left.
  void leave_when_done();

  void abandon() noexcept override;

  Communicator& owner;
  std::vector<std::shared_ptr<SegmentMap>> segments;
  std::vector<int> pids;
  Board board;
  Device* device;
  WaitLimits limits;
  TicketQueue tickets;
  uint32_t sequence = 0;
  WaitPolicy policy = WaitPolicy::oversubscribed;  // asked from the device once an operator
  std::vector<uint32_t> announced;                 // by rank, of the current operator
  int creator;

  mutable std::mutex mutex;  // guards operation, root and own_error
  std::string operation;
  std::optional<Failure> root;
  std::optional<Error> own_error;  // what abort() was given on this rank
  std::atomic<bool> failed{false};

  std::unique_ptr<Watcher> watcher;
};

// Registry of this process. `group` is one number for all ranks that were made together.
uint64_t new_communicator_group();
void enroll(const std::shared_ptr<Communicator>& communicator, uint64_t group);
void strike_off(const Communicator& communicator);

// Checks a communicator's size and name.
Status check_group(int size, std::string_view name);

}  // namespace tandem
