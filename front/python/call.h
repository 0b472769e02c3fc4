// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "front/python/queue.h"

namespace tandem::python {

// A rank as Python holds it, with the stream its operators run on.
struct CommunicatorHandle {
  std::shared_ptr<Communicator> comm;
  Queue queue;
  explicit CommunicatorHandle(std::shared_ptr<Communicator> its) : comm(std::move(its)), queue(comm->device()) {}
};

void add_calls(nb::module_& module);
void add_communicator(nb::module_& module);

}  // namespace tandem::python
