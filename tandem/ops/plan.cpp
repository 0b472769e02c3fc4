// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/plan.h"

#include <fmt/format.h>

#include <mutex>

#include "tandem/base/env.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/trace.h"
#include "tandem/exec/wait.h"

namespace tandem {
namespace {

// A place in the communicator's order, given back when the work ends. Work that a stream took and dropped, or that
// threw, would leave the other ranks waiting, so it ends the communicator.
class Turn {
 public:
  explicit Turn(const Plan::Body& body)
      : communicator_(body.communicator()), name_(body.name()),
        ticket_(communicator_ != nullptr ? communicator_->take_ticket() : 0) {}
  ~Turn() {
    if (communicator_ == nullptr) return;
    if (!finished_) {
      communicator_->abort({ErrorCode::cancelled, fmt::format("{}: rank {} dropped the operator or failed in it",
                                                              name_, communicator_->rank())});
    }
    communicator_->end_turn(ticket_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  Status start() { return communicator_ != nullptr ? communicator_->await_turn(ticket_) : Status{}; }
  // The operator ended in order, with or without an error, or was never handed over.
  void finish() { finished_ = true; }

 private:
  Communicator* communicator_;
  std::string_view name_;
  uint64_t ticket_;
  bool finished_ = false;
};

bool verbose() {
  static const bool enabled = env_integer("TANDEM_VERBOSE", 0, 1).value_or(0) == 1 ||
                              env_integer("HCCL_ENTRY_LOG_ENABLE", 0, 1).value_or(0) == 1;
  return enabled;
}

void report(const Plan::Body& body, int64_t start_ns, const Status& status) {
  const double microseconds = static_cast<double>(monotonic_ns() - start_ns) * 1e-3;
  fmt::print(stderr, "tandem,{},{},{:.1f} us,{}\n", body.name(), body.describe(), microseconds,
             status ? "ok" : status.error().message);
}

Status traced(const Plan::Body& body, std::span<std::byte> workspace, Lane& lane) {
  const Communicator* communicator = body.communicator();
  const TraceSpan span(TraceKind::operation, body.name(), communicator != nullptr ? communicator->rank() : -1);
  return body.execute(workspace, lane);
}

Status execute_in_turn(const Plan::Body& body, Turn& turn, std::span<std::byte> workspace, Lane& lane) {
  if (auto ready = turn.start(); !ready) return ready;
  const int64_t start = verbose() ? monotonic_ns() : 0;
  Status status = traced(body, workspace, lane);
  if (!status && body.communicator() != nullptr) body.communicator()->abort(status.error());
  if (verbose()) report(body, start, status);
  turn.finish();
  return status;
}

Status check_workspace(const Plan::Body& body, std::span<std::byte> workspace) {
  if (workspace.size() >= body.workspace_bytes()) return {};
  return fail(ErrorCode::null_argument, fmt::format("{}: workspace has {} bytes, {} wanted", body.name(),
                                                    workspace.size(), body.workspace_bytes()));
}

}  // namespace

Status Plan::run(std::span<std::byte> workspace, Stream& stream) const {
  if (auto enough = check_workspace(*body_, workspace); !enough) return enough;
  static std::mutex order;  // tickets have to be handed out in the order of the queues
  const std::lock_guard lock(order);
  const auto turn = std::make_shared<Turn>(*body_);
  Status submitted = stream.submit([body = body_, workspace, turn](Lane& lane) {
    return execute_in_turn(*body, *turn, workspace, lane);
  });
  if (!submitted) turn->finish();
  return submitted;
}

Status Plan::execute(std::span<std::byte> workspace, Lane& lane) const {
  if (auto enough = check_workspace(*body_, workspace); !enough) return enough;
  Turn turn(*body_);
  return execute_in_turn(*body_, turn, workspace, lane);
}

}  // namespace tandem
