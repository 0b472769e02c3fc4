// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

// Grow-only scratch of one stream: a bump allocator that kernels and operators draw temporaries from.
// Blocks stay valid until the enclosing Mark is destroyed.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // 64-byte aligned, uninitialised. Returns nullptr when memory is exhausted.
  void* take(size_t bytes);
  template <class T>
  T* take_array(int64_t count) {
    return static_cast<T*>(take(static_cast<size_t>(count) * sizeof(T)));
  }

  // Gives back what was taken after its construction.
  class Mark {
   public:
    explicit Mark(Scratch& scratch);
    ~Mark();
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    Scratch& scratch_;
    size_t block_;
    size_t used_;
  };

 private:
  struct Blocks;
  std::unique_ptr<Blocks> blocks_;
};

// Private pages of the process: 64-byte aligned, advised to be huge from 2 MiB up. For weights and caches.
class Pages {
 public:
  Pages() = default;
  static Expected<Pages> allocate(size_t bytes);
  ~Pages();
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;
  void* data() const { return data_; }
  size_t size() const { return bytes_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Device memory: blocks inside memfd arenas (64 MiB and up, fallocated, sealed, not inherited over fork) whose
// descriptors peers on this host may map.
struct ArenaRange {
  int descriptor = -1;      // memfd of the arena
  uint32_t arena = 0;       // id in this process
  uint32_t generation = 0;  // grows when an id is used again
  uint64_t offset = 0;      // of the block's first byte
  uint64_t bytes = 0;       // from there to the arena's end
};
Expected<void*> device_allocate(size_t bytes);
// Unknown pointers give invalid_argument, so a double free is an error and not a crash.
Status device_free(void* pointer);
// Where a pointer (also into the middle of a block) lives, if it is device memory.
Expected<ArenaRange> device_locate(const void* pointer);
// Holds the block of device memory that a range lies in while peers may read or write it: device_free() waits for it.
class DevicePin {
 public:
  DevicePin() = default;
  // Not held() when the bytes are not within one block of device memory.
  static DevicePin hold(const void* pointer, size_t bytes);
  ~DevicePin();
  DevicePin(DevicePin&& other) noexcept;
  DevicePin& operator=(DevicePin&& other) noexcept;
  bool held() const { return pins_ != nullptr; }
  const ArenaRange& place() const { return place_; }

 private:
  std::atomic<int>* pins_ = nullptr;
  ArenaRange place_;
};
struct DeviceMemoryInfo {
  size_t free_bytes, total_bytes;
};
DeviceMemoryInfo device_memory_info();

}  // namespace tandem
#pragma GCC visibility pop
