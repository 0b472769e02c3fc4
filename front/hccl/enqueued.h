// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tandem/comm/communicator.h"
#include "tandem/ops/plan.h"

namespace tandem::front {

// A collective in a stream's queue: it takes its turn among the operators of its communicator as all others do.
struct Enqueued final : Plan::Body {
  std::shared_ptr<Communicator> comm;
  std::string_view call;
  std::function<Status(Communicator&, Lane&)> work;

  size_t workspace_bytes() const override { return 0; }
  std::string_view name() const override { return call; }
  std::string describe() const override { return comm->describe(); }
  Communicator* communicator() const override { return comm.get(); }
  Status execute(std::span<std::byte>, Lane& lane) const override { return work(*comm, lane); }
};

}  // namespace tandem::front
