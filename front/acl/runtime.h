// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "front/acl/error.h"
#include "front/acl/handles.h"
#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"

namespace tandem::front {

// A stream as programs see it: the queue, its device, and the thread that runs its callbacks (0 = none).
struct StreamHandle {
  std::unique_ptr<Stream> queue;
  int device = 0;
  int id = 0;
  std::atomic<uint64_t> subscriber{0};
};

// `recorded` grows with each record; `waits` is shared by every wait that has not passed yet.
struct EventHandle {
  Event event;
  std::atomic<bool> recorded{false};
  std::shared_ptr<int> waits = std::make_shared<int>(0);
};

// Context of one device. Streams made under it know only the device.
struct Context {
  int device = 0;       // index of tandem::Device
  int user_device = 0;  // the program's number, see visible_devices()
  bool primary = false;
  std::mutex mutex;
  std::shared_ptr<StreamHandle> default_stream;  // made at first use
};

// What the process shares. Lives until the process ends: threads may still call while it does.
struct Runtime {
  HandleTable<Context> contexts;
  HandleTable<StreamHandle> streams;
  HandleTable<EventHandle> events;

  struct DeviceUse {
    int count = 0;
    void* primary = nullptr;
  };
  std::mutex mutex;
  std::map<int, DeviceUse> devices;  // by tandem index
  std::array<int64_t, 4> parameters{};
  int init_count = 0;
  bool was_initialized = false;
};
Runtime& runtime();

// tandem device numbers in the program's order (ASCEND_RT_VISIBLE_DEVICES, else all).
std::vector<int> visible_devices();
// The tandem index of the program's device number.
Expected<int> device_index(int user_device);

// The calling thread's context, or nothing when none was set or it is gone.
std::shared_ptr<Context> current_context();
void set_current_context(void* handle);
void* current_context_handle();
// The code for a call that needs a context, with its message.
aclError no_context(std::string_view call) noexcept;

// The stream of a handle; null means the default stream of the current context.
Expected<std::shared_ptr<StreamHandle>> stream_of(void* handle);
Expected<std::shared_ptr<StreamHandle>> make_stream(int device);
aclError wrong_stream(const Error& error) noexcept;

// Asked by every call that begins work: refuses when the libtandem that was loaded is not of this library's build.
Status same_build(std::string_view call);
aclError check_build(std::string_view call) noexcept;

// Work that runs when the runtime is finalized (executors that never ran).
void at_finalize(void (*action)());
void run_finalizers();

}  // namespace tandem::front
