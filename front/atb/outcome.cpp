// SPDX-License-Identifier: Apache-2.0
#include "front/atb/outcome.h"

#include "front/aclnn/status.h"

namespace tandem::atbfront {
namespace {

int code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::null_argument:
    case ErrorCode::invalid_argument:
    case ErrorCode::unsupported:
    case ErrorCode::io:
    case ErrorCode::malformed: return atb::ERROR_INVALID_PARAM;
    case ErrorCode::out_of_memory: return atb::ERROR_OUT_OF_HOST_MEMORY;
    case ErrorCode::peer_lost:
    case ErrorCode::timed_out:
    case ErrorCode::mismatch: return atb::ERROR_HCCL_FAIL;
    case ErrorCode::cancelled: return atb::ERROR_RT_FAIL;
    case ErrorCode::internal: return atb::ERROR_INTERNAL_ERROR;
  }
  return atb::ERROR_INTERNAL_ERROR;
}

}  // namespace

tl::unexpected<Refusal> refuse(const Error& error) {
  return tl::unexpected<Refusal>(Refusal{code_of(error.code), error.message});
}

atb::Status report(std::string_view name, const Refusal& refusal) noexcept {
  const auto text = [&] { return fmt::format("{}: {}", name, refusal.text); };
  return front::guarded(atb::ERROR_OUT_OF_HOST_MEMORY, atb::ERROR_INTERNAL_ERROR,
                        [&] { return front::report(refusal.code, front::kOperatorMark, text()); });
}

}  // namespace tandem::atbfront
