// SPDX-License-Identifier: Apache-2.0
#include <new>

#include "acl/acl_prof.h"
#include "front/acl/error.h"

struct aclprofConfig {
  uint64_t data_types = 0;
};

namespace {

aclError with_config(const aclprofConfig* config) noexcept {
  return config == nullptr
             ? tandem::front::wrong_argument("aclprof: profilerConfig is null, one of aclprofCreateConfig wanted")
             : ACL_SUCCESS;
}

}  // namespace

extern "C" {

aclError aclprofInit(const char* profilerResultPath, size_t length) {
  if (profilerResultPath != nullptr && length > 0) return ACL_SUCCESS;
  return tandem::front::wrong_argument("aclprofInit: profilerResultPath is empty, a folder wanted");
}

aclError aclprofFinalize() { return ACL_SUCCESS; }

aclprofConfig* aclprofCreateConfig(uint32_t* /*deviceIdList*/, uint32_t /*deviceNums*/,
                                   aclprofAicoreMetrics /*aicoreMetrics*/, const aclprofAicoreEvents* /*aicoreEvents*/,
                                   uint64_t dataTypeConfig) {
  return new (std::nothrow) aclprofConfig{dataTypeConfig};
}

aclError aclprofDestroyConfig(const aclprofConfig* profilerConfig) {
  delete profilerConfig;
  return ACL_SUCCESS;
}

aclError aclprofStart(const aclprofConfig* profilerConfig) { return with_config(profilerConfig); }

aclError aclprofStop(const aclprofConfig* profilerConfig) { return with_config(profilerConfig); }

}  // extern "C"
