// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "atb/types.h"
#include "front/acl/error.h"
#include "tandem/base/status.h"

// How calls of the operation interface refuse: one of its codes, and the reason in words.
namespace tandem::atbfront {

struct [[nodiscard]] Refusal {
  int code = atb::ERROR_INTERNAL_ERROR;
  std::string text;
};
template <class T = void>
using Outcome = tl::expected<T, Refusal>;

template <class... Args>
tl::unexpected<Refusal> refuse(int code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Refusal>(Refusal{code, fmt::format(format, std::forward<Args>(args)...)});
}
inline tl::unexpected<Refusal> refuse(Refusal refusal) { return tl::unexpected<Refusal>(std::move(refusal)); }
tl::unexpected<Refusal> refuse(const Error& error);
inline tl::unexpected<Refusal> refuse(const tl::unexpected<Refusal>& same) { return same; }

// Remembers the reason for this thread and returns the code.
atb::Status report(std::string_view name, const Refusal& refusal) noexcept;

// The body's Outcome<> as a code; nothing thrown leaves.
template <class Body>
atb::Status atb_call(std::string_view name, Body&& body) noexcept {
  return front::guarded(atb::ERROR_OUT_OF_HOST_MEMORY, atb::ERROR_INTERNAL_ERROR, [&]() -> int {
    const Outcome<> outcome = body();
    return outcome ? static_cast<int>(atb::NO_ERROR) : report(name, outcome.error());
  });
}

}  // namespace tandem::atbfront
