// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "tandem/base/status.h"
#include "tandem/exec/lane.h"

#pragma GCC visibility push(default)
namespace tandem {

class Device;

// A point in a stream's order: the last recording when a call looks. Not recorded yet counts as complete.
class Event {
 public:
  Event();
  bool complete() const;
  // False when `timeout_ms` (>= 0) passed first; negative waits for ever.
  bool synchronize(int64_t timeout_ms = -1) const;
  // The error of the stream that recorded it, as of the moment it was reached; none while not complete.
  Status fault() const;
  // Monotonic nanoseconds at which the stream reached it; 0 while not complete.
  int64_t reached_ns() const;
  // An event of its own for the recording of now: later ones do not concern it.
  Event snapshot() const;
  void reset();

 private:
  friend class Stream;
  struct Mark;
  struct State;
  std::shared_ptr<State> state_;
};

// In-order queue with a worker thread of its own. Work is only enqueued by the caller; kernels run on the worker.
// The first error sticks: later work is dropped (its task is destroyed without running) and every synchronize()
// returns that error until the stream is destroyed.
class Stream {
 public:
  using Task = std::function<Status(Lane&)>;

  static Expected<std::unique_ptr<Stream>> create(Device& device);
  // Waits for queued work.
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Status submit(Task task);
  Status synchronize();
  // Nothing when `timeout_ms` passed before the queue ran empty.
  std::optional<Status> synchronize_for(int64_t timeout_ms);
  bool idle() const;
  void record(Event& event);
  // Work after it starts when the recording of now was reached. The error of the stream that recorded becomes this
  // stream's; when `timeout_ms` (>= 0) passes first, ErrorCode::timed_out does.
  Status wait(const Event& event, int64_t timeout_ms = -1);
  // Drops what has not started and ends a wait under way; a running task ends by itself.
  void drop_pending();
  // drop_pending(), and nobody waits for the running task any more: not the destructor either. Takes no further work.
  void abandon();
  Device& device() const { return device_; }

 private:
  explicit Stream(Device& device);
  struct State;
  Device& device_;
  std::shared_ptr<State> state_;  // shared with the worker, which outlives an abandoned stream
};

}  // namespace tandem
#pragma GCC visibility pop
