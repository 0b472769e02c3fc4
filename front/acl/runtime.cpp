// SPDX-License-Identifier: Apache-2.0
#include "front/acl/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "acl/error_codes/rt_error_codes.h"
#include "tandem/base/env.h"
#include "tandem/version.h"

namespace tandem::front {
namespace {

// A plain handle: nothing has to be destroyed when a thread ends.
thread_local void* t_context = nullptr;

std::atomic<void (*)()> g_finalizer{nullptr};

// Reads a number off the front of `text` together with the comma after it.
std::optional<int> take_number(std::string_view& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (text.empty()) return value;
  if (text.front() != ',') return std::nullopt;
  text.remove_prefix(1);
  return value;
}

}  // namespace

void* next_handle() {
  static std::atomic<uintptr_t> last{0x1000};
  constexpr uintptr_t kStep = 16;
  return reinterpret_cast<void*>(last.fetch_add(kStep) + kStep);
}

Runtime& runtime() {
  static Runtime& instance = *new Runtime;
  return instance;
}

std::vector<int> visible_devices() {
  const int count = Device::count();
  std::vector<int> devices;
  const auto listed = env_text("ASCEND_RT_VISIBLE_DEVICES");
  if (!listed) {
    for (int index = 0; index < count; ++index) devices.push_back(index);
    return devices;
  }
  // What follows the first wrong or repeated number is not visible.
  std::string_view rest = *listed;
  while (!rest.empty()) {
    const auto number = take_number(rest);
    if (!number || *number < 0 || *number >= count) break;
    if (std::find(devices.begin(), devices.end(), *number) != devices.end()) break;
    devices.push_back(*number);
  }
  return devices;
}

Expected<int> device_index(int user_device) {
  const auto devices = visible_devices();
  if (user_device >= 0 && static_cast<size_t>(user_device) < devices.size()) {
    return devices[static_cast<size_t>(user_device)];
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("device {}, a value in [0, {}) wanted (TANDEM_DEVICES and ASCEND_RT_VISIBLE_DEVICES set it)",
                          user_device, devices.size()));
}

std::shared_ptr<Context> current_context() {
  return t_context == nullptr ? nullptr : runtime().contexts.find(t_context);
}

void set_current_context(void* handle) { t_context = handle; }

void* current_context_handle() { return t_context; }

aclError no_context(std::string_view call) noexcept {
  return report(ACL_ERROR_RT_CONTEXT_NULL, "EE1002",
                std::string(call) +
                    ": this thread has no context, a device wanted: call aclrtSetDevice or "
                    "aclrtSetCurrentContext first");
}

Status same_build(std::string_view call) {
  if (std::strcmp(TANDEM_BUILD, build()) == 0) return {};
  return fail(
      ErrorCode::internal,
      fmt::format("{}: libtandem_cann is of build {}, libtandem of build {} was loaded, one build of both wanted: "
                  "see LD_LIBRARY_PATH",
                  call, TANDEM_BUILD, build()));
}

aclError check_build(std::string_view call) noexcept {
  return guarded(ACL_ERROR_BAD_ALLOC, ACL_ERROR_INTERNAL_ERROR, [&] {
    const Status same = same_build(call);
    return same ? ACL_SUCCESS : report(ACL_ERROR_INTERNAL_ERROR, "EH9999", same.error().message);
  });
}

Expected<std::shared_ptr<StreamHandle>> make_stream(int device) {
  static std::atomic<int> ids{0};
  auto where = Device::get(device);
  if (!where) return fail(where.error());
  auto queue = Stream::create(**where);
  if (!queue) return fail(queue.error());
  auto stream = std::make_shared<StreamHandle>();
  stream->queue = std::move(*queue);
  stream->device = device;
  stream->id = ids.fetch_add(1);
  return stream;
}

Expected<std::shared_ptr<StreamHandle>> stream_of(void* handle) {
  if (handle != nullptr) {
    auto stream = runtime().streams.find(handle);
    if (stream) return stream;
    return fail(ErrorCode::invalid_argument, "stream: unknown handle, one of a stream that was not destroyed wanted");
  }
  const auto context = current_context();
  if (!context) {
    return fail(ErrorCode::null_argument, "stream: null and no context, a stream or a call of aclrtSetDevice wanted");
  }
  const std::lock_guard lock(context->mutex);
  if (!context->default_stream) {
    auto made = make_stream(context->device);
    if (!made) return fail(made.error());
    context->default_stream = std::move(*made);
  }
  return context->default_stream;
}

aclError wrong_stream(const Error& error) noexcept {
  if (error.code == ErrorCode::null_argument) return report(ACL_ERROR_RT_CONTEXT_NULL, "EE1002", error.message);
  if (error.code == ErrorCode::invalid_argument) return report(ACL_ERROR_RT_INVALID_HANDLE, "EE1001", error.message);
  return report_acl(error);
}

void at_finalize(void (*action)()) { g_finalizer = action; }

void run_finalizers() {
  if (auto* action = g_finalizer.load()) action();
}

}  // namespace tandem::front
