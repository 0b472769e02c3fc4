// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <memory>
#include <vector>

#include "front/python/arrays.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/plan.h"

namespace tandem::python {

// A stream that is made when work comes, and made anew after an error or in a forked child.
class Queue {
 public:
  explicit Queue(int device) : device_(device) {}
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  Stream& stream();
  // Runs the plan and waits, without the GIL. A signal of Python ends the wait, and with it the communicator.
  void run(const Plan& plan, Communicator* comm);
  // Waits for everything that was handed over.
  void wait(Communicator* comm);
  // Waits for `event`; false when `seconds` (>= 0) passed first.
  bool wait(const Event& event, Communicator* comm, double seconds);
  void replace() { broken_ = true; }

 private:
  void interrupted(Communicator* comm);
  int device_;
  pid_t owner_ = 0;
  bool broken_ = false;
  std::unique_ptr<Stream> stream_;
  std::vector<std::byte> workspace_;
};

constexpr int kSlice = 50;  // milliseconds between looks at Python's signals
// Whether a signal's handler raised; takes the GIL.
bool signalled();

// Of the calling thread, for operators of one device.
Queue& own_queue(int device);

}  // namespace tandem::python
