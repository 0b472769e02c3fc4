// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "atb/context.h"
#include "front/atb/outcome.h"

namespace tandem::atbfront {

class StreamContext final : public atb::Context {
 public:
  atb::Status SetExecuteStream(aclrtStream stream) override;
  aclrtStream GetExecuteStream() const override { return stream(0); }
  atb::Status SetAsyncTilingCopyStatus(bool enable) override;
  bool GetAsyncTilingCopyStatus() const override { return copies_apart_; }
  atb::Status SetExecuteStreams(const std::vector<aclrtStream>& streams) override;
  std::vector<aclrtStream> GetExecuteStreams() override { return streams_; }
  atb::Status SetExecuteType(atb::ExecuteType type) override;
  atb::ExecuteType GetExecuteType() override { return type_; }
  atb::Status SetLaunchMode(atb::LaunchMode mode) override;
  atb::LaunchMode GetLaunchMode() override { return mode_; }

  // Null where none of that number was set.
  aclrtStream stream(size_t id) const { return id < streams_.size() ? streams_[id] : nullptr; }

 private:
  std::vector<aclrtStream> streams_;
  bool copies_apart_ = false;
  atb::ExecuteType type_ = atb::EXECUTE_NORMAL;
  atb::LaunchMode mode_ = atb::KERNEL_LAUNCH_MODE;
};

// The context behind a pointer of the program; refuses null and what is no live context.
Outcome<StreamContext*> context_of(atb::Context* context);

}  // namespace tandem::atbfront
