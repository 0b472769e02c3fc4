// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include "aclnn/opdev/op_errno.h"
#include "front/acl/error.h"

namespace tandem::front {

inline constexpr std::string_view kOperatorMark = "EZ1001";

// TANDEM_STRICT=1: the vendor's codes and refusals. Read once.
bool strict();

// The documented code of an error found while planning.
aclnnStatus aclnn_code(ErrorCode code);
inline aclnnStatus report_aclnn(const Error& error) noexcept {
  return report(aclnn_code(error.code), kOperatorMark, error.message);
}

template <class Function>
aclnnStatus aclnn_call(Function&& body) noexcept {
  return guarded(ACLNN_ERR_RUNTIME_ERROR, ACLNN_ERR_INNER, std::forward<Function>(body));
}

}  // namespace tandem::front
