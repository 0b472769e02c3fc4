// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#pragma GCC visibility push(default)
namespace atb {
namespace train {

// Gradients of the RMS norm: of x and of gamma.
struct RmsNormBackwardParam {
  uint8_t rsv[8] = {0};
};

}  // namespace train
}  // namespace atb
#pragma GCC visibility pop
