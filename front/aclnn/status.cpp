// SPDX-License-Identifier: Apache-2.0
#include "front/aclnn/status.h"

#include "tandem/base/env.h"

namespace tandem::front {

bool strict() {
  static const bool value = env_integer("TANDEM_STRICT", 0, 1).value_or(0) == 1;
  return value;
}

aclnnStatus aclnn_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::null_argument: return ACLNN_ERR_PARAM_NULLPTR;
    case ErrorCode::invalid_argument:
    case ErrorCode::unsupported:
    case ErrorCode::mismatch: return ACLNN_ERR_PARAM_INVALID;
    case ErrorCode::out_of_memory:
    case ErrorCode::peer_lost:
    case ErrorCode::timed_out:
    case ErrorCode::cancelled:
    case ErrorCode::io:
    case ErrorCode::malformed: return ACLNN_ERR_RUNTIME_ERROR;
    case ErrorCode::internal: return ACLNN_ERR_INNER;
  }
  return ACLNN_ERR_INNER;
}

}  // namespace tandem::front
