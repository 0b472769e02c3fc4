// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tandem/base/status.h"
#include "tandem/exec/device.h"
#include "tandem/exec/lane.h"
#include "tandem/exec/stream.h"

#pragma GCC visibility push(default)
namespace tandem {

class Communicator;

// A checked operator that only has to be run. Copies every descriptor it needs; the caller keeps the tensors' memory.
class Plan {
 public:
  struct Body {
    virtual ~Body() = default;
    virtual size_t workspace_bytes() const = 0;
    virtual std::string_view name() const = 0;
    // Shapes, dtypes, table and algorithm for the verbose line.
    virtual std::string describe() const = 0;
    // The communicator whose turn the operator needs; nullptr for operators without one.
    virtual Communicator* communicator() const { return nullptr; }
    virtual Status execute(std::span<std::byte> workspace, Lane& lane) const = 0;
  };

  explicit Plan(std::shared_ptr<const Body> body) : body_(std::move(body)) {}

  // Bytes run() wants; 0 only for an empty problem, at least 512 otherwise.
  size_t workspace_bytes() const { return body_->workspace_bytes(); }
  std::string_view name() const { return body_->name(); }
  // What the verbose line says of it: shapes, dtypes, table, algorithm.
  std::string describe() const { return body_->describe(); }
  // Enqueues; the workspace must live until the stream has passed it.
  Status run(std::span<std::byte> workspace, Stream& stream) const;
  // Runs at once on the calling thread, which must be a stream's worker (lane comes from its task).
  Status execute(std::span<std::byte> workspace, Lane& lane) const;

 private:
  std::shared_ptr<const Body> body_;
};

}  // namespace tandem
#pragma GCC visibility pop
