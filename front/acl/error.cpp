// SPDX-License-Identifier: Apache-2.0
#include "front/acl/error.h"

#include "acl/error_codes/rt_error_codes.h"

namespace tandem::front {
namespace {

std::string& message_of_thread() {
  thread_local std::string message;
  return message;
}

}  // namespace

int report(int code, std::string_view origin, std::string_view text) noexcept {
  try {
    std::string& message = message_of_thread();
    message.assign(origin);
    message.append(": ").append(text);
  } catch (const std::bad_alloc&) {
    return code;  // the code alone has to do
  }
  return code;
}

const char* recent_message() noexcept {
  const std::string& message = message_of_thread();
  return message.empty() ? nullptr : message.c_str();
}

void forget_message() noexcept { message_of_thread().clear(); }

aclError acl_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::null_argument:
    case ErrorCode::invalid_argument:
    case ErrorCode::mismatch: return ACL_ERROR_RT_PARAM_INVALID;
    case ErrorCode::unsupported: return ACL_ERROR_RT_FEATURE_NOT_SUPPORT;
    case ErrorCode::out_of_memory: return ACL_ERROR_RT_MEMORY_ALLOCATION;
    case ErrorCode::peer_lost: return ACL_ERROR_RT_SUSPECT_REMOTE_ERROR;
    case ErrorCode::timed_out: return ACL_ERROR_RT_TASK_TIMEOUT;
    case ErrorCode::cancelled: return ACL_ERROR_RT_STREAM_ABORT;
    case ErrorCode::io:
    case ErrorCode::malformed: return ACL_ERROR_FAILURE;
    case ErrorCode::internal: return ACL_ERROR_RT_INTERNAL_ERROR;
  }
  return ACL_ERROR_RT_INTERNAL_ERROR;
}

aclError report_acl(const Error& error) noexcept { return report(acl_code(error.code), "EE1001", error.message); }

aclError wrong_argument(std::string_view text) noexcept { return report(ACL_ERROR_INVALID_PARAM, "EH0002", text); }

}  // namespace tandem::front
