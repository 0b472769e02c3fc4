// SPDX-License-Identifier: Apache-2.0
#include "securec.h"

#include <cstdio>
#include <cstring>

namespace {

bool overlaps(const void* a, const void* b, size_t bytes) {
  const auto first = reinterpret_cast<uintptr_t>(a);
  const auto second = reinterpret_cast<uintptr_t>(b);
  return first < second ? second - first < bytes : first - second < bytes;
}

// Shared rules of the memory functions: EOK means that `count` bytes may be written.
errno_t check_memory(void* dest, size_t room, const void* src, size_t count) {
  if (room == 0 || room > SECUREC_MEM_MAX_LEN) return ERANGE;
  if (dest == nullptr) return EINVAL;
  if (src == nullptr) {
    std::memset(dest, 0, room);
    return EINVAL_AND_RESET;
  }
  if (count > room) {
    std::memset(dest, 0, room);
    return ERANGE_AND_RESET;
  }
  return EOK;
}

// Appends at most `count` characters of src to the first `used` characters of dest.
errno_t append(char* dest, size_t room, size_t used, const char* src, size_t count) {
  const size_t length = strnlen(src, count);
  if (length >= room - used) {
    dest[0] = '\0';
    return ERANGE_AND_RESET;
  }
  if (overlaps(dest + used, src, length + 1) && dest + used != src) {
    dest[0] = '\0';
    return EOVERLAP_AND_RESET;
  }
  std::memmove(dest + used, src, length);
  dest[used + length] = '\0';
  return EOK;
}

errno_t check_text(char* dest, size_t room, const char* src) {
  if (room == 0 || room > SECUREC_STRING_MAX_LEN) return ERANGE;
  if (dest == nullptr) return EINVAL;
  if (src != nullptr) return EOK;
  dest[0] = '\0';
  return EINVAL_AND_RESET;
}

}  // namespace

extern "C" {

errno_t memcpy_s(void* dest, size_t destMax, const void* src, size_t count) {
  const errno_t code = check_memory(dest, destMax, src, count);
  if (code != EOK) return code;
  if (dest != src && overlaps(dest, src, count)) {
    std::memset(dest, 0, destMax);
    return EOVERLAP_AND_RESET;
  }
  std::memmove(dest, src, count);
  return EOK;
}

errno_t memmove_s(void* dest, size_t destMax, const void* src, size_t count) {
  const errno_t code = check_memory(dest, destMax, src, count);
  if (code == EOK) std::memmove(dest, src, count);
  return code;
}

errno_t memset_s(void* dest, size_t destMax, int value, size_t count) {
  if (destMax == 0 || destMax > SECUREC_MEM_MAX_LEN) return ERANGE;
  if (dest == nullptr) return EINVAL;
  std::memset(dest, value, count > destMax ? destMax : count);
  return count > destMax ? ERANGE_AND_RESET : EOK;
}

errno_t strcpy_s(char* dest, size_t destMax, const char* src) {
  const errno_t code = check_text(dest, destMax, src);
  return code == EOK ? append(dest, destMax, 0, src, destMax) : code;
}

errno_t strncpy_s(char* dest, size_t destMax, const char* src, size_t count) {
  const errno_t code = check_text(dest, destMax, src);
  return code == EOK ? append(dest, destMax, 0, src, count) : code;
}

errno_t strcat_s(char* dest, size_t destMax, const char* src) { return strncat_s(dest, destMax, src, destMax); }

errno_t strncat_s(char* dest, size_t destMax, const char* src, size_t count) {
  const errno_t code = check_text(dest, destMax, src);
  if (code != EOK) return code;
  const size_t used = strnlen(dest, destMax);
  if (used < destMax) return append(dest, destMax, used, src, count);
  dest[0] = '\0';
  return EINVAL_AND_RESET;
}

int vsnprintf_s(char* dest, size_t destMax, size_t count, const char* format, va_list arguments) {
  if (dest == nullptr || destMax == 0 || destMax > SECUREC_STRING_MAX_LEN) return -1;
  dest[0] = '\0';
  if (format == nullptr) return -1;
  const size_t room = count < destMax ? count + 1 : destMax;
  const int length = std::vsnprintf(dest, room, format, arguments);
  if (length < 0) dest[0] = '\0';
  if (length < 0 || static_cast<size_t>(length) >= room) {
    if (room == destMax) dest[0] = '\0';  // cut by the buffer, not by count
    return -1;
  }
  return length;
}

int vsprintf_s(char* dest, size_t destMax, const char* format, va_list arguments) {
  return vsnprintf_s(dest, destMax, destMax, format, arguments);
}

int sprintf_s(char* dest, size_t destMax, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = vsprintf_s(dest, destMax, format, arguments);
  va_end(arguments);
  return length;
}

int snprintf_s(char* dest, size_t destMax, size_t count, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf_s(dest, destMax, count, format, arguments);
  va_end(arguments);
  return length;
}

}  // extern "C"
