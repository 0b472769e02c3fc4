// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "acl/acl_base.h"
#include "tandem/base/status.h"

namespace tandem::front {

// Remembers `text` for aclGetRecentErrMsg of this thread and returns `code`. `origin` is the vendor's module mark:
// EE runtime, EH acl, EI hccl, EZ operators.
int report(int code, std::string_view origin, std::string_view text) noexcept;
const char* recent_message() noexcept;
void forget_message() noexcept;

// The runtime code of a fault that showed while work ran.
aclError acl_code(ErrorCode code);
aclError report_acl(const Error& error) noexcept;
inline aclError report_acl(const Status& status) noexcept { return status ? ACL_SUCCESS : report_acl(status.error()); }
aclError wrong_argument(std::string_view text) noexcept;

// Nothing thrown may cross the C interface.
template <class Function>
auto guarded(int no_memory, int other, Function&& body) noexcept -> int {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return report(no_memory, "EH0001", "host memory was refused");
  } catch (const std::exception& error) {
    return report(other, "EH9999", error.what());
  } catch (...) {
    return report(other, "EH9999", "something was thrown that is no std::exception");
  }
}

template <class Function>
aclError acl_call(Function&& body) noexcept {
  return guarded(ACL_ERROR_BAD_ALLOC, ACL_ERROR_INTERNAL_ERROR, std::forward<Function>(body));
}

}  // namespace tandem::front
