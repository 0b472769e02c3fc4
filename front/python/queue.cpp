// SPDX-License-Identifier: Apache-2.0
#include "front/python/queue.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>

#include "tandem/exec/device.h"

namespace tandem::python {

bool signalled() {
  const nb::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

Queue::~Queue() {
  if (owner_ != getpid()) static_cast<void>(stream_.release());  // its worker lives in the parent
}

Stream& Queue::stream() {
  if (owner_ != getpid()) {
    static_cast<void>(stream_.release());
    owner_ = getpid();
  }
  if (broken_) stream_.reset();
  broken_ = false;
  if (stream_ == nullptr) stream_ = check(Stream::create(*check(Device::get(device_))));
  return *stream_;
}

void Queue::interrupted(Communicator* comm) {
  if (comm != nullptr) {
    comm->abort({ErrorCode::cancelled, fmt::format("rank {} was interrupted in Python", comm->rank())});
  }
  stream_->drop_pending();
  {
    const nb::gil_scoped_release free;
    static_cast<void>(stream_->synchronize());
  }
  broken_ = true;
  throw nb::python_error();
}

void Queue::wait(Communicator* comm) {
  std::optional<Status> status;
  bool stop = false;
  {
    const nb::gil_scoped_release free;
    while (!stop && !(status = stream_->synchronize_for(kSlice))) stop = signalled();
  }
  if (stop) interrupted(comm);
  broken_ = !*status;
  check(*status);
}

bool Queue::wait(const Event& event, Communicator* comm, double seconds) {
  bool stop = false, there = false;
  {
    const nb::gil_scoped_release free;
    double left = seconds * 1e3;
    while (!stop && !(there = event.synchronize(
                          seconds < 0 ? kSlice : std::clamp<int64_t>(static_cast<int64_t>(left), 0, kSlice)))) {
      left -= static_cast<double>(kSlice);
      if (seconds >= 0 && left <= 0) break;
      stop = signalled();
    }
  }
  if (stop) interrupted(comm);
  return there;
}

void Queue::run(const Plan& plan, Communicator* comm) {
  Stream& target = stream();
  workspace_.resize(std::max(workspace_.size(), plan.workspace_bytes()));
  check(plan.run(workspace_, target));
  wait(comm);
}

Queue& own_queue(int device) {
  thread_local std::map<int, Queue> queues;
  return queues.try_emplace(device, device).first->second;
}

}  // namespace tandem::python
