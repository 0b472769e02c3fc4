// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "acl/acl_rt.h"
#include "front/acl/runtime.h"

namespace tandem::front {
namespace {

// Enumerators come from C callers; their bits are looked at before they count as a value of the enumeration.
template <class Enum>
uint32_t bits_of(const Enum& value) {
  uint32_t bits = 0;
  static_assert(sizeof(value) == sizeof(bits));
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

aclError wrong_device(std::string_view call, const Error& error) {
  return report(ACL_ERROR_RT_INVALID_DEVICEID, "EE1001", fmt::format("{}: {}", call, error.message));
}

aclError set_device(int user_device) {
  if (const auto code = check_build("aclrtSetDevice"); code != ACL_SUCCESS) return code;
  const auto index = device_index(user_device);
  if (!index) return wrong_device("aclrtSetDevice", index.error());
  if (const auto device = Device::get(*index); !device) return wrong_device("aclrtSetDevice", device.error());
  Runtime& shared = runtime();
  const std::lock_guard lock(shared.mutex);
  auto& use = shared.devices[*index];
  if (use.primary == nullptr) {
    auto context = std::make_shared<Context>();
    context->device = *index;
    context->user_device = user_device;
    context->primary = true;
    use.primary = shared.contexts.insert(std::move(context));
  }
  ++use.count;
  set_current_context(use.primary);
  return ACL_SUCCESS;
}

// The default streams of all contexts of a device.
std::vector<std::shared_ptr<StreamHandle>> default_streams(int device) {
  std::vector<std::shared_ptr<StreamHandle>> streams;
  for (const auto& context : runtime().contexts.all()) {
    if (context->device != device) continue;
    const std::lock_guard lock(context->mutex);
    if (context->default_stream) streams.push_back(context->default_stream);
  }
  return streams;
}

std::vector<std::shared_ptr<StreamHandle>> streams_of(int device) {
  auto streams = runtime().streams.all();
  std::erase_if(streams, [&](const auto& stream) { return stream->device != device; });
  for (auto& stream : default_streams(device)) streams.push_back(std::move(stream));
  return streams;
}

void drain_device(int device) {
  for (const auto& stream : streams_of(device)) (void)stream->queue->synchronize();
}

// Waits for nobody: the contexts' own streams are given up, and made anew should a context still be used; those of the
// program lose what has not started.
void drop_work_of(int device) {
  for (const auto& stream : runtime().streams.all()) {
    if (stream->device == device) stream->queue->drop_pending();
  }
  for (const auto& context : runtime().contexts.all()) {
    if (context->device != device) continue;
    std::shared_ptr<StreamHandle> own;
    {
      const std::lock_guard lock(context->mutex);
      own.swap(context->default_stream);
    }
    if (own) own->queue->abandon();
  }
}

// The last reset ends the primary context; streams of the program stay valid until they are destroyed.
aclError reset_device(int user_device, bool force) {
  const auto index = device_index(user_device);
  if (!index) return wrong_device("aclrtResetDevice", index.error());
  Runtime& shared = runtime();
  void* ended = nullptr;
  {
    const std::lock_guard lock(shared.mutex);
    auto& use = shared.devices[*index];
    if (use.count == 0) return ACL_SUCCESS;
    use.count = force ? 0 : use.count - 1;
    if (use.count > 0) return ACL_SUCCESS;
    std::swap(ended, use.primary);
  }
  if (force) drop_work_of(*index);
  if (!force) drain_device(*index);
  const auto context = shared.contexts.take(ended);
  if (current_context_handle() == ended) set_current_context(nullptr);
  return ACL_SUCCESS;
}

aclError create_context(void** handle, int user_device) {
  if (const auto code = check_build("aclrtCreateContext"); code != ACL_SUCCESS) return code;
  if (handle == nullptr) return wrong_argument("aclrtCreateContext: context is null, a place for the handle wanted");
  const auto index = device_index(user_device);
  if (!index) return wrong_device("aclrtCreateContext", index.error());
  auto context = std::make_shared<Context>();
  context->device = *index;
  context->user_device = user_device;
  *handle = runtime().contexts.insert(std::move(context));
  set_current_context(*handle);
  return ACL_SUCCESS;
}

aclError unknown_context(std::string_view call) {
  return report(ACL_ERROR_RT_CONTEXT_NULL, "EE1001",
                fmt::format("{}: unknown context, one that was not destroyed wanted", call));
}

aclError destroy_context(void* handle) {
  if (handle == nullptr) return wrong_argument("aclrtDestroyContext: context is null, a context wanted");
  auto context = runtime().contexts.find(handle);
  if (!context) return unknown_context("aclrtDestroyContext");
  if (context->primary) {
    return report(ACL_ERROR_RT_PARAM_INVALID, "EE1001",
                  "aclrtDestroyContext: this context belongs to aclrtSetDevice, aclrtResetDevice wanted");
  }
  runtime().contexts.take(handle);
  if (current_context_handle() == handle) set_current_context(nullptr);
  return ACL_SUCCESS;
}

// `timeout` in milliseconds for all streams together, negative for ever.
aclError synchronize_device(int timeout) {
  const auto context = current_context();
  if (!context) return no_context("aclrtSynchronizeDevice");
  const auto start = std::chrono::steady_clock::now();
  aclError result = ACL_SUCCESS;
  for (const auto& stream : streams_of(context->device)) {
    if (timeout < 0) {
      if (const auto status = stream->queue->synchronize(); !status) result = report_acl(status);
      continue;
    }
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
    const auto status = stream->queue->synchronize_for(std::max<int64_t>(0, timeout - spent.count()));
    if (!status) {
      return report(ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, "EE1003",
                    fmt::format("aclrtSynchronizeDeviceWithTimeout: {} ms passed, a stream still works", timeout));
    }
    if (!*status) result = report_acl(*status);
  }
  return result;
}

aclError map_device(int from, int* to, bool to_physical) {
  if (to == nullptr) return wrong_argument("device number: null, a place for the result wanted");
  const auto devices = visible_devices();
  if (to_physical) {
    const auto index = device_index(from);
    if (!index) return wrong_device("device number", index.error());
    *to = *index;
    return ACL_SUCCESS;
  }
  const auto found = std::find(devices.begin(), devices.end(), from);
  if (found == devices.end()) return wrong_device("device number", {ErrorCode::invalid_argument, "not visible"});
  *to = static_cast<int>(found - devices.begin());
  return ACL_SUCCESS;
}

aclError same_device(int from, int* to) {
  if (to == nullptr) return wrong_argument("device number: null, a place for the result wanted");
  if (const auto index = device_index(from); !index) return wrong_device("device number", index.error());
  *to = from;
  return ACL_SUCCESS;
}

aclError parameter(aclSysParamOpt opt, int64_t* read, const int64_t* write) {
  Runtime& shared = runtime();
  const uint32_t index = bits_of(opt);
  if (index >= shared.parameters.size())
    return wrong_argument("system parameter: unknown, one of aclSysParamOpt wanted");
  const std::lock_guard lock(shared.mutex);
  if (write != nullptr) shared.parameters[index] = *write;
  if (read != nullptr) *read = shared.parameters[index];
  return ACL_SUCCESS;
}

aclError peer_of(int32_t device) {
  const auto index = device_index(device);
  return index ? ACL_SUCCESS : wrong_device("peer access", index.error());
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::acl_call;
using front::wrong_argument;

extern "C" {

aclError aclrtSetDevice(int32_t deviceId) {
  return acl_call([&] { return front::set_device(deviceId); });
}

aclError aclrtResetDevice(int32_t deviceId) {
  return acl_call([&] { return front::reset_device(deviceId, false); });
}

aclError aclrtResetDeviceForce(int32_t deviceId) {
  return acl_call([&] { return front::reset_device(deviceId, true); });
}

aclError aclrtGetDevice(int32_t* deviceId) {
  if (deviceId == nullptr) return wrong_argument("aclrtGetDevice: deviceId is null, a place for the number wanted");
  const auto context = front::current_context();
  if (!context) return front::no_context("aclrtGetDevice");
  *deviceId = context->user_device;
  return ACL_SUCCESS;
}

aclError aclrtGetDeviceCount(uint32_t* count) {
  if (count == nullptr) return wrong_argument("aclrtGetDeviceCount: count is null, a place for the number wanted");
  return acl_call([&] {
    *count = static_cast<uint32_t>(front::visible_devices().size());
    return ACL_SUCCESS;
  });
}

aclError aclrtGetRunMode(aclrtRunMode* runMode) {
  if (runMode == nullptr) return wrong_argument("aclrtGetRunMode: runMode is null, a place for it wanted");
  *runMode = ACL_HOST;
  return ACL_SUCCESS;
}

aclError aclrtSynchronizeDevice() {
  return acl_call([] { return front::synchronize_device(-1); });
}

aclError aclrtSynchronizeDeviceWithTimeout(int32_t timeout) {
  if (timeout < -1)
    return wrong_argument("aclrtSynchronizeDeviceWithTimeout: timeout below -1, -1 or milliseconds wanted");
  return acl_call([&] { return front::synchronize_device(timeout); });
}

aclError aclrtDeviceCanAccessPeer(int32_t* canAccessPeer, int32_t deviceId, int32_t peerDeviceId) {
  if (canAccessPeer == nullptr) return wrong_argument("aclrtDeviceCanAccessPeer: a null pointer, a place wanted");
  return acl_call([&] {
    if (const auto code = front::peer_of(deviceId); code != ACL_SUCCESS) return code;
    if (const auto code = front::peer_of(peerDeviceId); code != ACL_SUCCESS) return code;
    *canAccessPeer = deviceId != peerDeviceId ? 1 : 0;
    return ACL_SUCCESS;
  });
}

aclError aclrtDeviceEnablePeerAccess(int32_t peerDeviceId, uint32_t /*flags*/) {
  return acl_call([&] { return front::peer_of(peerDeviceId); });
}

aclError aclrtDeviceDisablePeerAccess(int32_t peerDeviceId) {
  return acl_call([&] { return front::peer_of(peerDeviceId); });
}

aclError aclrtSetDeviceSatMode(aclrtFloatOverflowMode mode) {
  if (front::bits_of(mode) == ACL_RT_OVERFLOW_MODE_INFNAN) return ACL_SUCCESS;
  return front::report(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "EE1004",
                       "aclrtSetDeviceSatMode: another mode, ACL_RT_OVERFLOW_MODE_INFNAN wanted");
}

aclError aclrtGetDeviceSatMode(aclrtFloatOverflowMode* mode) {
  if (mode == nullptr) return wrong_argument("aclrtGetDeviceSatMode: mode is null, a place for it wanted");
  *mode = ACL_RT_OVERFLOW_MODE_INFNAN;
  return ACL_SUCCESS;
}

aclError aclrtGetPhyDevIdByLogicDevId(const int32_t logicDevId, int32_t* const phyDevId) {
  return acl_call([&] { return front::map_device(logicDevId, phyDevId, true); });
}

aclError aclrtGetLogicDevIdByPhyDevId(const int32_t phyDevId, int32_t* const logicDevId) {
  return acl_call([&] { return front::map_device(phyDevId, logicDevId, false); });
}

aclError aclrtGetPhyDevIdByUserDevId(const int32_t userDevId, int32_t* const phyDevId) {
  return acl_call([&] { return front::map_device(userDevId, phyDevId, true); });
}

aclError aclrtGetUserDevIdByPhyDevId(const int32_t phyDevId, int32_t* const userDevId) {
  return acl_call([&] { return front::map_device(phyDevId, userDevId, false); });
}

aclError aclrtGetLogicDevIdByUserDevId(const int32_t userDevId, int32_t* const logicDevId) {
  return acl_call([&] { return front::same_device(userDevId, logicDevId); });
}

aclError aclrtGetUserDevIdByLogicDevId(const int32_t logicDevId, int32_t* const userDevId) {
  return acl_call([&] { return front::same_device(logicDevId, userDevId); });
}

aclError aclrtSetSysParamOpt(aclSysParamOpt opt, int64_t value) {
  return acl_call([&] { return front::parameter(opt, nullptr, &value); });
}

aclError aclrtGetSysParamOpt(aclSysParamOpt opt, int64_t* value) {
  if (value == nullptr) return wrong_argument("aclrtGetSysParamOpt: value is null, a place for it wanted");
  return acl_call([&] { return front::parameter(opt, value, nullptr); });
}

aclError aclrtCtxSetSysParamOpt(aclSysParamOpt opt, int64_t value) { return aclrtSetSysParamOpt(opt, value); }

aclError aclrtCtxGetSysParamOpt(aclSysParamOpt opt, int64_t* value) { return aclrtGetSysParamOpt(opt, value); }

aclError aclrtCreateContext(aclrtContext* context, int32_t deviceId) {
  return acl_call([&] { return front::create_context(context, deviceId); });
}

aclError aclrtDestroyContext(aclrtContext context) {
  return acl_call([&] { return front::destroy_context(context); });
}

aclError aclrtSetCurrentContext(aclrtContext context) {
  return acl_call([&] {
    if (!front::runtime().contexts.find(context)) return front::unknown_context("aclrtSetCurrentContext");
    front::set_current_context(context);
    return ACL_SUCCESS;
  });
}

aclError aclrtGetCurrentContext(aclrtContext* context) {
  if (context == nullptr) return wrong_argument("aclrtGetCurrentContext: context is null, a place for it wanted");
  if (!front::current_context()) return front::no_context("aclrtGetCurrentContext");
  *context = front::current_context_handle();
  return ACL_SUCCESS;
}

}  // extern "C"
