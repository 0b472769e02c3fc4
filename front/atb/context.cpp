// SPDX-License-Identifier: Apache-2.0
#include "front/atb/context.h"

#include <memory>
#include <mutex>
#include <unordered_map>

#include "front/acl/runtime.h"

namespace tandem::atbfront {
namespace {

constexpr size_t kMostStreams = 256;
constexpr uint32_t kMostTilingBlocks = 1024;

struct Contexts {
  std::mutex mutex;
  std::unordered_map<const atb::Context*, std::unique_ptr<StreamContext>> live;
};

Contexts& contexts() {
  static Contexts& all = *new Contexts;
  return all;
}

atb::Status create(atb::Context** context) {
  return atb_call("CreateContext", [&]() -> Outcome<> {
    if (context == nullptr) return refuse(atb::ERROR_INVALID_PARAM, "context is null, a place wanted");
    *context = nullptr;
    if (const Status same = front::same_build("CreateContext"); !same) return refuse(same.error());
    auto made = std::make_unique<StreamContext>();
    const std::lock_guard lock(contexts().mutex);
    *context = made.get();
    contexts().live.emplace(made.get(), std::move(made));
    return {};
  });
}

}  // namespace

Outcome<StreamContext*> context_of(atb::Context* context) {
  if (context == nullptr) return refuse(atb::ERROR_INVALID_PARAM, "context is null, one of CreateContext wanted");
  const std::lock_guard lock(contexts().mutex);
  const auto found = contexts().live.find(context);
  if (found != contexts().live.end()) return found->second.get();
  return refuse(atb::ERROR_INVALID_CONTEXT_ADDR, "unknown context, one that was not destroyed wanted");
}

atb::Status StreamContext::SetExecuteStream(aclrtStream stream) {
  if (streams_.empty()) streams_.resize(1);
  streams_[0] = stream;
  return atb::NO_ERROR;
}

atb::Status StreamContext::SetAsyncTilingCopyStatus(bool enable) {
  copies_apart_ = enable;
  return atb::NO_ERROR;
}

atb::Status StreamContext::SetExecuteStreams(const std::vector<aclrtStream>& streams) {
  return atb_call("SetExecuteStreams", [&]() -> Outcome<> {
    if (streams.empty() || streams.size() > kMostStreams)
      return refuse(atb::ERROR_INVALID_PARAM, "{} streams, 1 to {} wanted", streams.size(), kMostStreams);
    streams_ = streams;
    return {};
  });
}

atb::Status StreamContext::SetExecuteType(atb::ExecuteType type) {
  return atb_call("SetExecuteType", [&]() -> Outcome<> {
    if (type < atb::EXECUTE_NORMAL || type > atb::EXECUTE_LAUNCH)
      return refuse(atb::ERROR_INVALID_PARAM, "type {}, 0 to 2 wanted", static_cast<int>(type));
    type_ = type;
    return {};
  });
}

atb::Status StreamContext::SetLaunchMode(atb::LaunchMode mode) {
  return atb_call("SetLaunchMode", [&]() -> Outcome<> {
    if (mode < atb::KERNEL_LAUNCH_MODE || mode > atb::GRAPH_LAUNCH_MODE)
      return refuse(atb::ERROR_INVALID_PARAM, "mode {}, 0 or 1 wanted", static_cast<int>(mode));
    mode_ = mode;
    return {};
  });
}

}  // namespace tandem::atbfront

namespace atb {

Status CreateContext(Context** context) { return tandem::atbfront::create(context); }

// Parameters of kernels are never copied to a device here, so nothing is allocated for them.
Status CreateContext(Context** context, const std::function<void*(size_t)>& alloc,
                     const std::function<void(void*)>& dealloc) {
  return tandem::atbfront::atb_call("CreateContext", [&]() -> tandem::atbfront::Outcome<> {
    if (!alloc || !dealloc) return tandem::atbfront::refuse(ERROR_INVALID_PARAM, "alloc and dealloc, both wanted");
    const Status made = tandem::atbfront::create(context);
    if (made == NO_ERROR) return {};
    return tandem::atbfront::refuse(made, "{}", aclGetRecentErrMsg());
  });
}

Status CreateContext(Context** context, uint32_t hostTilingBlockNum, uint32_t deviceTilingBlockNum) {
  namespace front = tandem::atbfront;
  return front::atb_call("CreateContext", [&]() -> front::Outcome<> {
    for (const uint32_t blocks : {hostTilingBlockNum, deviceTilingBlockNum}) {
      if (blocks == 0 || blocks > front::kMostTilingBlocks)
        return front::refuse(ERROR_INVALID_PARAM, "{} blocks, 1 to {} wanted", blocks, front::kMostTilingBlocks);
    }
    const Status made = front::create(context);
    if (made == NO_ERROR) return {};
    return front::refuse(made, "{}", aclGetRecentErrMsg());
  });
}

Status DestroyContext(Context* context) {
  namespace front = tandem::atbfront;
  return front::atb_call("DestroyContext", [&]() -> front::Outcome<> {
    const auto found = front::context_of(context);
    if (!found) return front::refuse(found.error());
    const std::lock_guard lock(front::contexts().mutex);
    front::contexts().live.erase(context);
    return {};
  });
}

}  // namespace atb
