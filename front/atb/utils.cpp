// SPDX-License-Identifier: Apache-2.0
#include "atb/utils.h"

#include <cstring>

#include "front/atb/tensors.h"
#include "tandem/version.h"

namespace atb {

std::string Utils::GetAtbVersion() { return "tandem " + std::string(tandem::version()); }

uint64_t Utils::GetTensorSize(const Tensor& tensor) { return GetTensorSize(tensor.desc); }
uint64_t Utils::GetTensorSize(const TensorDesc& tensorDesc) { return tandem::atbfront::bytes_of(tensorDesc); }
uint64_t Utils::GetTensorNumel(const Tensor& tensor) { return GetTensorNumel(tensor.desc); }
uint64_t Utils::GetTensorNumel(const TensorDesc& tensorDesc) { return tandem::atbfront::count_of(tensorDesc); }

void Utils::QuantParamConvert(const float* src, uint64_t* dest, uint64_t itemCount) {
  if (src == nullptr || dest == nullptr) return;
  for (uint64_t i = 0; i < itemCount; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, src + i, sizeof(bits));
    dest[i] = bits;
  }
}

// What is logged is the environment's choice (TANDEM_LOG); the calls only keep programs running.
Status Utils::SetLogLevel(const LogLevel level) {
  const bool known = level >= LogLevel::DEBUG && level <= LogLevel::NONE;
  return known ? NO_ERROR : ERROR_INVALID_PARAM;
}
Status Utils::ResetLogLevel() { return NO_ERROR; }

}  // namespace atb
