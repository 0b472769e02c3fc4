// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "acl/acl.h"
#include "front/acl/product.h"
#include "front/acl/runtime.h"

namespace tandem::front {
namespace {

aclError check_config(const char* path) {
  if (path == nullptr || *path == '\0') return ACL_SUCCESS;
  std::ifstream file(path);
  if (!file) return report(ACL_ERROR_INVALID_FILE, "EH0003", fmt::format("aclInit: {} cannot be read", path));
  const auto content = nlohmann::json::parse(file, nullptr, false);
  if (!content.is_discarded()) return ACL_SUCCESS;
  return report(ACL_ERROR_PARSE_FILE, "EH0003", fmt::format("aclInit: {} is not JSON, a JSON file wanted", path));
}

aclError initialize(const char* path) {
  Runtime& shared = runtime();
  const std::lock_guard lock(shared.mutex);
  if (shared.init_count > 0) {
    ++shared.init_count;
    return report(ACL_ERROR_REPEAT_INITIALIZE, "EH0004",
                  "aclInit: already initialized, one call before aclFinalize wanted");
  }
  if (const auto code = check_build("aclInit"); code != ACL_SUCCESS) return code;
  if (const auto code = check_config(path); code != ACL_SUCCESS) return code;
  shared.init_count = 1;
  shared.was_initialized = true;
  forget_message();
  return ACL_SUCCESS;
}

// Takes back `references` calls of aclInit; what is left comes back in `left`.
aclError finalize(bool all, uint64_t* left) {
  Runtime& shared = runtime();
  {
    const std::lock_guard lock(shared.mutex);
    if (shared.init_count == 0) {
      const aclError code = shared.was_initialized ? ACL_ERROR_REPEAT_FINALIZE : ACL_ERROR_UNINITIALIZE;
      return report(code, "EH0005", "aclFinalize: not initialized, aclInit before it wanted");
    }
    shared.init_count = all ? 0 : shared.init_count - 1;
    if (left != nullptr) *left = static_cast<uint64_t>(shared.init_count);
    if (shared.init_count > 0) return ACL_SUCCESS;
  }
  run_finalizers();
  return ACL_SUCCESS;
}

void fill(char* target, size_t size, const char* text) { std::snprintf(target, size, "%s", text); }

}  // namespace
}  // namespace tandem::front

using tandem::front::acl_call;
using tandem::front::wrong_argument;

extern "C" {

aclError aclInit(const char* configPath) {
  return acl_call([&] { return tandem::front::initialize(configPath); });
}

aclError aclFinalize() {
  return acl_call([] { return tandem::front::finalize(true, nullptr); });
}

aclError aclFinalizeReference(uint64_t* refCount) {
  return acl_call([&] { return tandem::front::finalize(false, refCount); });
}

aclError aclrtGetVersion(int32_t* majorVersion, int32_t* minorVersion, int32_t* patchVersion) {
  if (majorVersion == nullptr || minorVersion == nullptr || patchVersion == nullptr) {
    return wrong_argument("aclrtGetVersion: a null pointer, three places wanted");
  }
  *majorVersion = ACL_MAJOR_VERSION;
  *minorVersion = ACL_MINOR_VERSION;
  *patchVersion = ACL_PATCH_VERSION;
  return ACL_SUCCESS;
}

aclError aclsysGetCANNVersion(aclCANNPackageName name, aclCANNPackageVersion* version) {
  uint32_t package = 0;
  std::memcpy(&package, &name, sizeof(package));
  if (version == nullptr) return wrong_argument("aclsysGetCANNVersion: version is null, a struct wanted");
  if (package >= ACL_PKG_NAME_DRIVER) {
    return tandem::front::report(ACL_ERROR_INVALID_FILE, "EH0003",
                                 "aclsysGetCANNVersion: that package is not installed, there is no driver here");
  }
  *version = {};
  tandem::front::fill(version->version, sizeof(version->version), "8.1.RC1");
  tandem::front::fill(version->majorVersion, sizeof(version->majorVersion), "8");
  tandem::front::fill(version->minorVersion, sizeof(version->minorVersion), "1");
  tandem::front::fill(version->releaseVersion, sizeof(version->releaseVersion), "RC1");
  return ACL_SUCCESS;
}

const char* aclGetRecentErrMsg() { return tandem::front::recent_message(); }

const char* aclrtGetSocName() { return tandem::front::soc_name().c_str(); }

}  // extern "C"
