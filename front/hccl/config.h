// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "hccl/hccl_types.h"
#include "tandem/base/status.h"

namespace tandem::front {

// What a config asks for; the rest of it is about devices and networks that this library does not have.
struct ConfigValues {
  size_t window_bytes = 0;  // 0 = the usual window
  std::string name;         // empty = made by the call
  double call_s = -1;       // HCCL_EXEC_TIMEOUT of this communicator; below 0 = the variable's
};

// Reads as much of the struct as its own size says it has: older programs were built with shorter ones.
Expected<ConfigValues> read_config(const HcclCommConfig& config);

}  // namespace tandem::front
