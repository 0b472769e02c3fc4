// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "acl/acl.h"
#include "atb/types.h"

#pragma GCC visibility push(default)
namespace atb {
namespace common {

// Records an event in the operation's stream, or makes the stream wait for it. No tensors.
struct EventParam {
  enum OperatorType : int { UNDEFINED = 0, RECORD, WAIT };
  aclrtEvent event = nullptr;
  OperatorType operatorType = UNDEFINED;
  uint8_t rsv[16] = {0};
};

inline bool operator==(const EventParam& left, const EventParam& right) {
  return left.operatorType == right.operatorType && left.event == right.event;
}

}  // namespace common
}  // namespace atb
#pragma GCC visibility pop
