// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "atb/types.h"

#pragma GCC visibility push(default)
namespace atb {

class Utils {
 public:
  static std::string GetAtbVersion();
  // Bytes; 0 without dimensions, where the size overflows and for element types smaller than a byte.
  static uint64_t GetTensorSize(const Tensor& tensor);
  static uint64_t GetTensorSize(const TensorDesc& tensorDesc);
  // Elements; 0 without dimensions and where the number overflows.
  static uint64_t GetTensorNumel(const Tensor& tensor);
  static uint64_t GetTensorNumel(const TensorDesc& tensorDesc);
  // Scales as 64-bit words: the bits of the float in the low half.
  static void QuantParamConvert(const float* src, uint64_t* dest, uint64_t itemCount);
  static Status SetLogLevel(const LogLevel level);
  static Status ResetLogLevel();
};

}  // namespace atb
#pragma GCC visibility pop
