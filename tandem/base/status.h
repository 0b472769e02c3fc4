// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#pragma GCC visibility push(default)
namespace tandem {

enum class ErrorCode : uint8_t {
  null_argument,     // a required argument is absent
  invalid_argument,  // shape, dtype, value or combination outside the contract
  unsupported,       // legal, but not on this device or in this build
  out_of_memory,     // memory, window or file space could not be had
  peer_lost,         // a rank died, left or aborted; the communicator is dead
  timed_out,         // a rank made no progress before the deadline; the communicator is dead
  mismatch,          // ranks called different operators or shapes
  io,                // a file or socket could not be read or written
  malformed,         // a file or message does not follow its format
  cancelled,         // work dropped because the stream already failed
  internal           // a fault of this library
};

constexpr std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::null_argument: return "null_argument";
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::peer_lost: return "peer_lost";
    case ErrorCode::timed_out: return "timed_out";
    case ErrorCode::mismatch: return "mismatch";
    case ErrorCode::io: return "io";
    case ErrorCode::malformed: return "malformed";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::internal: return "internal";
  }
  return "internal";
}

// An error is a value: what went wrong in one sentence that names operator, argument, given and wanted.
struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

template <class T>
using Expected = tl::expected<T, Error>;
using Status = Expected<void>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace tandem
#pragma GCC visibility pop
