// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>

#include "front/aclnn/objects.h"
#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"

namespace tandem::front {

enum class Weights : uint8_t { plain, weight_only, full };

// One call of a ..MatmulAllReduceAddRmsNormGetWorkspaceSize, whichever of the six; fields in the vendor's order.
struct FusedCall {
  std::string_view name;
  Weights weights = Weights::plain;
  bool inplace = false;
  const aclTensor *x1 = nullptr, *x2 = nullptr, *bias = nullptr;
  const aclTensor *scale = nullptr, *offset = nullptr;  // antiquant.. or dequantScale
  const aclTensor *residual = nullptr, *gamma = nullptr;
  double epsilon = 0;
  const char *group = nullptr, *reduce_op = nullptr;
  int64_t comm_turn = 0, stream_mode = 0, group_size = 0;
  const aclTensor *y = nullptr, *norm = nullptr;
  uint64_t* workspace_size = nullptr;
  aclOpExecutor** executor = nullptr;
};

// An argument the vendor's interface refuses, with the code it gets.
struct Refusal {
  int code = 0;  // 0: nothing to refuse
  Error error;
};

// Pointers, then the shapes that tell whether the problem is empty.
Refusal check_first(const FusedCall& call);
// b*s = 0 or n = 0, which succeeds without looking further. Holds after check_first.
bool is_empty(const FusedCall& call);
// Everything else.
Refusal check_rest(const FusedCall& call);
// The communicator of call.group on a device.
Refusal check_group(const FusedCall& call, int device);

}  // namespace tandem::front
