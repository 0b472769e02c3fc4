/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers outside an enumeration, which only C may pass. */
#include "acl/acl.h"

extern aclError copy_of_kind(void *dst, const void *src, size_t count, int kind);
extern size_t size_of_type(int type);
extern aclError set_overflow_mode(int mode);

aclError copy_of_kind(void *dst, const void *src, size_t count, int kind) {
  return aclrtMemcpy(dst, count, src, count, (aclrtMemcpyKind)kind);
}

size_t size_of_type(int type) { return aclDataTypeSize((aclDataType)type); }

aclError set_overflow_mode(int mode) { return aclrtSetDeviceSatMode((aclrtFloatOverflowMode)mode); }
