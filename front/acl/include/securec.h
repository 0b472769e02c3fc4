/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TANDEM_SECUREC_H
#define TANDEM_SECUREC_H
#include <stdarg.h>

#include "securectype.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SECUREC_API __attribute__((visibility("default")))

/* Copy functions return EOK, EINVAL, ERANGE, or an .._AND_RESET code after the target was cleared. */
SECUREC_API errno_t memcpy_s(void* dest, size_t destMax, const void* src, size_t count);
SECUREC_API errno_t memmove_s(void* dest, size_t destMax, const void* src, size_t count);
SECUREC_API errno_t memset_s(void* dest, size_t destMax, int value, size_t count);
SECUREC_API errno_t strcpy_s(char* dest, size_t destMax, const char* src);
SECUREC_API errno_t strncpy_s(char* dest, size_t destMax, const char* src, size_t count);
SECUREC_API errno_t strcat_s(char* dest, size_t destMax, const char* src);
SECUREC_API errno_t strncat_s(char* dest, size_t destMax, const char* src, size_t count);

/* Print functions return the characters written, -1 when the text does not fit or an argument is wrong. */
SECUREC_API int sprintf_s(char* dest, size_t destMax, const char* format, ...) __attribute__((format(printf, 3, 4)));
SECUREC_API int snprintf_s(char* dest, size_t destMax, size_t count, const char* format, ...)
    __attribute__((format(printf, 4, 5)));
SECUREC_API int vsprintf_s(char* dest, size_t destMax, const char* format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
SECUREC_API int vsnprintf_s(char* dest, size_t destMax, size_t count, const char* format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

#ifdef __cplusplus
}
#endif
#endif
