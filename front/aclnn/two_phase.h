// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>

#include "acl/acl_base.h"
#include "aclnn/acl_meta.h"
#include "front/aclnn/executor.h"

namespace tandem::front {

// The device of the calling thread, which a first phase plans for.
Expected<Device*> current_device();

// End of a first phase: plans, reports the workspace and hands out the executor. Nothing is written on failure.
aclnnStatus publish(std::shared_ptr<Executor> executor, uint64_t* workspace_size, aclOpExecutor** handle);

// A whole second phase: enqueues the executor's plan and uses the executor up unless it is repeatable.
aclnnStatus launch(void* workspace, uint64_t workspace_size, aclOpExecutor* handle, aclrtStream stream) noexcept;

}  // namespace tandem::front
