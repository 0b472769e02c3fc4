// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/memory.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <unordered_set>

#include "acl/acl_rt.h"
#include "front/acl/runtime.h"

namespace front = tandem::front;
using front::acl_call;
using front::wrong_argument;

namespace tandem::front {
namespace {

// Blocks of aclrtMallocHost, so that a wrong aclrtFreeHost is an error.
struct HostBlocks {
  std::mutex mutex;
  std::unordered_set<void*> live;

  static HostBlocks& instance() {
    static HostBlocks& blocks = *new HostBlocks;
    return blocks;
  }
};

constexpr size_t kAlignment = 64;

aclError allocate(void** pointer, size_t size) {
  if (pointer == nullptr) return wrong_argument("aclrtMalloc: devPtr is null, a place for the address wanted");
  if (size == 0) return wrong_argument("aclrtMalloc: size 0, at least 1 wanted");
  if (!current_context()) return no_context("aclrtMalloc");
  const auto block = device_allocate(size);
  if (!block) return report_acl(block.error());
  *pointer = *block;
  return ACL_SUCCESS;
}

aclError allocate_host(void** pointer, size_t size) {
  if (pointer == nullptr) return wrong_argument("aclrtMallocHost: hostPtr is null, a place for the address wanted");
  if (size == 0) return wrong_argument("aclrtMallocHost: size 0, at least 1 wanted");
  void* block = size > SIZE_MAX - kAlignment
                    ? nullptr
                    : std::aligned_alloc(kAlignment, (size + kAlignment - 1) / kAlignment * kAlignment);
  if (block == nullptr) {
    return report(ACL_ERROR_RT_MEMORY_ALLOCATION, "EE1005",
                  fmt::format("aclrtMallocHost: {} bytes were refused", size));
  }
  HostBlocks& blocks = HostBlocks::instance();
  const std::lock_guard lock(blocks.mutex);
  blocks.live.insert(block);
  *pointer = block;
  return ACL_SUCCESS;
}

aclError release_host(void* pointer) {
  HostBlocks& blocks = HostBlocks::instance();
  {
    const std::lock_guard lock(blocks.mutex);
    if (blocks.live.erase(pointer) == 0) {
      return report(ACL_ERROR_RT_PARAM_INVALID, "EE1001",
                    "aclrtFreeHost: unknown address, one from aclrtMallocHost that was not freed wanted");
    }
  }
  std::free(pointer);
  return ACL_SUCCESS;
}

bool valid_kind(const aclrtMemcpyKind& kind) {
  uint32_t bits = 0;
  std::memcpy(&bits, &kind, sizeof(bits));
  return bits <= ACL_MEMCPY_INTER_DEVICE_TO_DEVICE;
}

// Nothing to copy counts as done whatever the pointers are; `proceed` says that there is something.
aclError check_copy(const void* dst, size_t room, const void* src, size_t count, const aclrtMemcpyKind& kind,
                    bool& proceed) {
  proceed = false;
  if (!valid_kind(kind)) return wrong_argument("aclrtMemcpy: kind is not one of aclrtMemcpyKind");
  if (count == 0) return ACL_SUCCESS;
  if (dst == nullptr || src == nullptr) return wrong_argument("aclrtMemcpy: dst or src is null, addresses wanted");
  if (count > room) {
    return wrong_argument(fmt::format("aclrtMemcpy: count {}, at most destMax {} wanted", count, room));
  }
  proceed = true;
  return ACL_SUCCESS;
}

aclError check_set(const void* pointer, size_t room, size_t count, bool& proceed) {
  proceed = false;
  if (count == 0) return ACL_SUCCESS;
  if (pointer == nullptr) return wrong_argument("aclrtMemset: devPtr is null, an address wanted");
  if (count > room) {
    return wrong_argument(fmt::format("aclrtMemset: count {}, at most maxCount {} wanted", count, room));
  }
  proceed = true;
  return ACL_SUCCESS;
}

struct Rectangle {
  char* dst;
  size_t dst_pitch;
  const char* src;
  size_t src_pitch, width, height;

  void copy() const {
    for (size_t row = 0; row < height; ++row) std::memmove(dst + row * dst_pitch, src + row * src_pitch, width);
  }
};

aclError check_rectangle(const Rectangle& area, const aclrtMemcpyKind& kind, bool& proceed) {
  const auto code = check_copy(area.dst, area.dst_pitch, area.src, area.width, kind, proceed);
  if (code != ACL_SUCCESS || !proceed) return code;
  if (area.width > area.src_pitch) {
    proceed = false;
    return wrong_argument(fmt::format("aclrtMemcpy2d: width {}, at most spitch {} wanted", area.width, area.src_pitch));
  }
  proceed = area.height > 0;
  return ACL_SUCCESS;
}

template <class Work>
aclError enqueue(void* stream, Work work) {
  const auto found = stream_of(stream);
  if (!found) return wrong_stream(found.error());
  const auto task = [work = std::move(work)](Lane&) -> Status {
    work();
    return {};
  };
  return report_acl((*found)->queue->submit(task));
}

aclError not_supported(std::string_view call) {
  return report(ACL_ERROR_API_NOT_SUPPORT, "EE1004", fmt::format("{}: not in this library, aclrtMalloc wanted", call));
}

}  // namespace
}  // namespace tandem::front

extern "C" {

aclError aclrtMalloc(void** devPtr, size_t size, aclrtMemMallocPolicy /*policy*/) {
  return acl_call([&] { return front::allocate(devPtr, size); });
}

aclError aclrtMallocAlign32(void** devPtr, size_t size, aclrtMemMallocPolicy /*policy*/) {
  return acl_call([&] { return front::allocate(devPtr, size); });
}

aclError aclrtMallocCached(void** devPtr, size_t size, aclrtMemMallocPolicy /*policy*/) {
  return acl_call([&] { return front::allocate(devPtr, size); });
}

aclError aclrtFree(void* devPtr) {
  if (devPtr == nullptr) return wrong_argument("aclrtFree: devPtr is null, an address wanted");
  return acl_call([&] { return front::report_acl(tandem::device_free(devPtr)); });
}

aclError aclrtMallocHost(void** hostPtr, size_t size) {
  return acl_call([&] { return front::allocate_host(hostPtr, size); });
}

aclError aclrtFreeHost(void* hostPtr) {
  if (hostPtr == nullptr) return wrong_argument("aclrtFreeHost: hostPtr is null, an address wanted");
  return acl_call([&] { return front::release_host(hostPtr); });
}

aclError aclrtMemcpy(void* dst, size_t destMax, const void* src, size_t count, aclrtMemcpyKind kind) {
  return acl_call([&] {
    bool proceed = false;
    const auto code = front::check_copy(dst, destMax, src, count, kind, proceed);
    if (proceed) std::memmove(dst, src, count);
    return code;
  });
}

aclError aclrtMemcpyAsync(void* dst, size_t destMax, const void* src, size_t count, aclrtMemcpyKind kind,
                          aclrtStream stream) {
  return acl_call([&] {
    bool proceed = false;
    const auto code = front::check_copy(dst, destMax, src, count, kind, proceed);
    if (!proceed) return code;
    return front::enqueue(stream, [=] { std::memmove(dst, src, count); });
  });
}

aclError aclrtMemcpy2d(void* dst, size_t dpitch, const void* src, size_t spitch, size_t width, size_t height,
                       aclrtMemcpyKind kind) {
  return acl_call([&] {
    const front::Rectangle area{static_cast<char*>(dst), dpitch, static_cast<const char*>(src), spitch, width, height};
    bool proceed = false;
    const auto code = front::check_rectangle(area, kind, proceed);
    if (proceed) area.copy();
    return code;
  });
}

aclError aclrtMemcpy2dAsync(void* dst, size_t dpitch, const void* src, size_t spitch, size_t width, size_t height,
                            aclrtMemcpyKind kind, aclrtStream stream) {
  return acl_call([&] {
    const front::Rectangle area{static_cast<char*>(dst), dpitch, static_cast<const char*>(src), spitch, width, height};
    bool proceed = false;
    const auto code = front::check_rectangle(area, kind, proceed);
    if (!proceed) return code;
    return front::enqueue(stream, [area] { area.copy(); });
  });
}

aclError aclrtMemset(void* devPtr, size_t maxCount, int32_t value, size_t count) {
  return acl_call([&] {
    bool proceed = false;
    const auto code = front::check_set(devPtr, maxCount, count, proceed);
    if (proceed) std::memset(devPtr, value, count);
    return code;
  });
}

aclError aclrtMemsetAsync(void* devPtr, size_t maxCount, int32_t value, size_t count, aclrtStream stream) {
  return acl_call([&] {
    bool proceed = false;
    const auto code = front::check_set(devPtr, maxCount, count, proceed);
    if (!proceed) return code;
    return front::enqueue(stream, [=] { std::memset(devPtr, value, count); });
  });
}

// One coherent memory: there is nothing to flush.
aclError aclrtMemFlush(void* devPtr, size_t /*size*/) {
  return devPtr == nullptr ? wrong_argument("aclrtMemFlush: devPtr is null, an address wanted") : ACL_SUCCESS;
}

aclError aclrtMemInvalidate(void* devPtr, size_t /*size*/) {
  return devPtr == nullptr ? wrong_argument("aclrtMemInvalidate: devPtr is null, an address wanted") : ACL_SUCCESS;
}

aclError aclrtHostRegister(void* ptr, uint64_t size, aclrtHostRegisterType /*type*/, void** devPtr) {
  if (ptr == nullptr || devPtr == nullptr || size == 0) {
    return wrong_argument("aclrtHostRegister: a null pointer or size 0, an address and a place wanted");
  }
  *devPtr = ptr;
  return ACL_SUCCESS;
}

aclError aclrtHostUnregister(void* ptr) {
  return ptr == nullptr ? wrong_argument("aclrtHostUnregister: ptr is null, an address wanted") : ACL_SUCCESS;
}

aclError aclrtGetMemInfo(aclrtMemAttr /*attr*/, size_t* free, size_t* total) {
  if (free == nullptr || total == nullptr) return wrong_argument("aclrtGetMemInfo: a null pointer, two places wanted");
  return acl_call([&] {
    const auto info = tandem::device_memory_info();
    *free = info.free_bytes;
    *total = info.total_bytes;
    return ACL_SUCCESS;
  });
}

aclError aclrtReserveMemAddress(void** /*virPtr*/, size_t /*size*/, size_t /*alignment*/, void* /*expectPtr*/,
                                uint64_t /*flags*/) {
  return acl_call([] { return front::not_supported("aclrtReserveMemAddress"); });
}

aclError aclrtReleaseMemAddress(void* /*virPtr*/) {
  return acl_call([] { return front::not_supported("aclrtReleaseMemAddress"); });
}

aclError aclrtMallocPhysical(aclrtDrvMemHandle* /*handle*/, size_t /*size*/, const aclrtPhysicalMemProp* /*prop*/,
                             uint64_t /*flags*/) {
  return acl_call([] { return front::not_supported("aclrtMallocPhysical"); });
}

aclError aclrtFreePhysical(aclrtDrvMemHandle /*handle*/) {
  return acl_call([] { return front::not_supported("aclrtFreePhysical"); });
}

aclError aclrtMapMem(void* /*virPtr*/, size_t /*size*/, size_t /*offset*/, aclrtDrvMemHandle /*handle*/,
                     uint64_t /*flags*/) {
  return acl_call([] { return front::not_supported("aclrtMapMem"); });
}

aclError aclrtUnmapMem(void* /*virPtr*/) {
  return acl_call([] { return front::not_supported("aclrtUnmapMem"); });
}

aclError aclrtMemGetAllocationGranularity(aclrtPhysicalMemProp* /*prop*/, aclrtMemGranularityOptions /*option*/,
                                          size_t* /*granularity*/) {
  return acl_call([] { return front::not_supported("aclrtMemGetAllocationGranularity"); });
}

}  // extern "C"
