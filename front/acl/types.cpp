// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "acl/acl_base.h"
#include "front/acl/error.h"
#include "tandem/base/half.h"
#include "tandem/base/log.h"

// What a data buffer is: a place, not owned.
struct aclDataBuffer {
  void* data;
  size_t size;
};

namespace {

constexpr uint16_t kLargestHalf = 0x7bffU;

size_t element_size(uint32_t type) {
  switch (type) {
    case ACL_INT8:
    case ACL_UINT8:
    case ACL_BOOL:
    case ACL_INT4:
    case ACL_UINT1:
    case ACL_HIFLOAT8:
    case ACL_FLOAT8_E5M2:
    case ACL_FLOAT8_E4M3FN:
    case ACL_FLOAT8_E8M0:
    case ACL_FLOAT6_E3M2:
    case ACL_FLOAT6_E2M3:
    case ACL_FLOAT4_E2M1:
    case ACL_FLOAT4_E1M2: return 1;
    case ACL_FLOAT16:
    case ACL_BF16:
    case ACL_INT16:
    case ACL_UINT16: return 2;
    case ACL_FLOAT:
    case ACL_INT32:
    case ACL_UINT32:
    case ACL_COMPLEX32: return 4;
    case ACL_DOUBLE:
    case ACL_INT64:
    case ACL_UINT64:
    case ACL_COMPLEX64: return 8;
    case ACL_COMPLEX128: return 16;
    default: return 0;
  }
}

tandem::LogLevel log_level(aclLogLevel level) {
  switch (level) {
    case ACL_DEBUG: return tandem::LogLevel::debug;
    case ACL_INFO: return tandem::LogLevel::info;
    case ACL_WARNING: return tandem::LogLevel::warn;
    case ACL_ERROR: return tandem::LogLevel::error;
  }
  return tandem::LogLevel::error;
}

}  // namespace

extern "C" {

aclFloat16 aclFloatToFloat16(float value) {
  if (std::isnan(value)) return kLargestHalf;
  const uint16_t bits = tandem::to_f16(value).bits;
  if ((bits & 0x7fffU) != 0x7c00U) return bits;
  return static_cast<aclFloat16>((bits & 0x8000U) | kLargestHalf);
}

float aclFloat16ToFloat(aclFloat16 value) {
  if ((value & 0x7c00U) != 0x7c00U) return tandem::to_float(tandem::f16{value});
  // Exponent 31 read like any other: 2^16 * 1.mantissa.
  const float magnitude = 65536.0F * (1.0F + static_cast<float>(value & 0x3ffU) / 1024.0F);
  return (value & 0x8000U) != 0 ? -magnitude : magnitude;
}

size_t aclDataTypeSize(aclDataType dataType) {
  uint32_t bits = 0;
  std::memcpy(&bits, &dataType, sizeof(bits));
  return element_size(bits);
}

aclDataBuffer* aclCreateDataBuffer(void* data, size_t size) { return new (std::nothrow) aclDataBuffer{data, size}; }

aclError aclDestroyDataBuffer(const aclDataBuffer* dataBuffer) {
  if (dataBuffer == nullptr) return tandem::front::wrong_argument("aclDestroyDataBuffer: null, a buffer wanted");
  delete dataBuffer;
  return ACL_SUCCESS;
}

aclError aclUpdateDataBuffer(aclDataBuffer* dataBuffer, void* data, size_t size) {
  if (dataBuffer == nullptr) return tandem::front::wrong_argument("aclUpdateDataBuffer: null, a buffer wanted");
  *dataBuffer = {data, size};
  return ACL_SUCCESS;
}

void* aclGetDataBufferAddr(const aclDataBuffer* dataBuffer) {
  return dataBuffer == nullptr ? nullptr : dataBuffer->data;
}

uint32_t aclGetDataBufferSize(const aclDataBuffer* dataBuffer) {
  return static_cast<uint32_t>(aclGetDataBufferSizeV2(dataBuffer));
}

size_t aclGetDataBufferSizeV2(const aclDataBuffer* dataBuffer) { return dataBuffer == nullptr ? 0 : dataBuffer->size; }

void aclAppLog(aclLogLevel logLevel, const char* func, const char* file, uint32_t line, const char* format, ...) {
  const auto level = log_level(logLevel);
  if (format == nullptr || !tandem::log_enabled(level)) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  char whole[1400];
  std::snprintf(whole, sizeof(whole), "%s:%u %s: %s", file == nullptr ? "?" : file, line, func == nullptr ? "?" : func,
                text);
  tandem::log_line(level, whole);
}

}  // extern "C"
