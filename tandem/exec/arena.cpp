// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "tandem/exec/cgroup.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/reserve.h"
#include "tandem/exec/wait.h"

namespace tandem {
namespace {

constexpr size_t kArenaBytes = 64u << 20;
constexpr size_t kAlignment = 512;  // satisfies every vendor rule on tensor addresses
constexpr size_t kTail = 32;        // the vendor adds 32 readable bytes behind a block

struct Used {
  size_t bytes;
  std::atomic<int> pins{0};  // held by operators whose peers may touch it
  explicit Used(size_t its_bytes) : bytes(its_bytes) {}
};

// One memfd, mapped whole. Free space by offset, neighbours merged.
struct ArenaBlock {
  int descriptor = -1;
  uint32_t generation = 0;
  std::byte* base = nullptr;
  size_t size = 0;
  std::map<size_t, size_t> free;  // offset -> bytes
  std::map<size_t, Used> used;
};

class ArenaRegistry {
 public:
  static ArenaRegistry& instance() {
    static ArenaRegistry* const registry = [] {
      auto* made = new ArenaRegistry;
      pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
      return made;
    }();
    return *registry;
  }

  Expected<void*> allocate(size_t bytes) {
    if (bytes > SIZE_MAX / 2) return fail(ErrorCode::out_of_memory, fmt::format("device memory: {} bytes wanted", bytes));
    const size_t wanted = (bytes + kTail + kAlignment - 1) / kAlignment * kAlignment;
    const std::lock_guard lock(mutex_);
    for (auto& [id, arena] : arenas_) {
      if (void* block = take(arena, wanted)) return block;
    }
    auto made = open_arena(std::max(wanted, kArenaBytes));
    if (!made) return fail(made.error());
    return take(**made, wanted);
  }

  Status release(void* pointer) {
    std::unique_lock lock(mutex_);
    while (pinned(pointer)) {
      lock.unlock();
      thread_yield();
      lock.lock();
    }
    for (auto found = arenas_.begin(); found != arenas_.end(); ++found) {
      ArenaBlock& arena = found->second;
      if (!contains(arena, pointer)) continue;
      const auto block = arena.used.find(offset_of(arena, pointer));
      if (block == arena.used.end()) break;
      give_back(arena, block->first, block->second.bytes);
      arena.used.erase(block);
      const bool spare = arena.used.empty() && arenas_.size() > 1;
      if (spare) close_arena(found);
      return {};
    }
    return fail(ErrorCode::invalid_argument,
                fmt::format("device memory: {} was not allocated here or is free already", pointer));
  }

  // Null when the bytes are not within one block; else its pins, one more than before.
  std::atomic<int>* pin(const void* pointer, size_t bytes, ArenaRange& place) {
    const std::lock_guard lock(mutex_);
    for (auto& [id, arena] : arenas_) {
      if (!contains(arena, pointer)) continue;
      const size_t offset = offset_of(arena, pointer);
      auto block = arena.used.upper_bound(offset);
      if (block == arena.used.begin()) return nullptr;
      --block;
      const size_t into = offset - block->first;
      if (into > block->second.bytes || bytes > block->second.bytes - into) return nullptr;
      place = {arena.descriptor, id, arena.generation, offset, arena.size - offset};
      block->second.pins.fetch_add(1, std::memory_order_relaxed);
      return &block->second.pins;
    }
    return nullptr;
  }

  Expected<ArenaRange> locate(const void* pointer) {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, arena] : arenas_) {
      if (!contains(arena, pointer)) continue;
      const size_t offset = offset_of(arena, pointer);
      return ArenaRange{arena.descriptor, id, arena.generation, offset, arena.size - offset};
    }
    return fail(ErrorCode::invalid_argument, fmt::format("device memory: {} is not device memory", pointer));
  }

 private:
  // The mappings do not exist in a forked child; descriptors kept there would hold the parent's memory.
  static void before_fork() { instance().mutex_.lock(); }
  static void after_fork_in_parent() { instance().mutex_.unlock(); }
  static void after_fork_in_child() {
    ArenaRegistry& registry = instance();
    for (const auto& [id, arena] : registry.arenas_) close(arena.descriptor);
    registry.arenas_.clear();
    registry.mutex_.unlock();
  }

  static bool contains(const ArenaBlock& arena, const void* pointer) {
    const auto* byte = static_cast<const std::byte*>(pointer);
    return byte >= arena.base && byte < arena.base + arena.size;
  }
  bool pinned(const void* pointer) {
    for (auto& [id, arena] : arenas_) {
      if (!contains(arena, pointer)) continue;
      const auto block = arena.used.find(offset_of(arena, pointer));
      return block != arena.used.end() && block->second.pins.load(std::memory_order_acquire) > 0;
    }
    return false;
  }
  static size_t offset_of(const ArenaBlock& arena, const void* pointer) {
    return static_cast<size_t>(static_cast<const std::byte*>(pointer) - arena.base);
  }

  static void* take(ArenaBlock& arena, size_t bytes) {
    const auto fits = [&](const auto& hole) { return hole.second >= bytes; };
    const auto hole = std::find_if(arena.free.begin(), arena.free.end(), fits);
    if (hole == arena.free.end()) return nullptr;
    const auto [offset, size] = *hole;
    arena.free.erase(hole);
    if (size > bytes) arena.free.emplace(offset + bytes, size - bytes);
    arena.used.emplace(offset, bytes);
    return arena.base + offset;
  }

  static void give_back(ArenaBlock& arena, size_t offset, size_t bytes) {
    auto next = arena.free.lower_bound(offset);
    if (next != arena.free.end() && next->first == offset + bytes) {
      bytes += next->second;
      next = arena.free.erase(next);
    }
    if (next != arena.free.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        before->second += bytes;
        return;
      }
    }
    arena.free.emplace(offset, bytes);
  }

  Expected<ArenaBlock*> open_arena(size_t bytes) {
    const auto refused = [bytes](const char* step, int code) {
      return fail(ErrorCode::out_of_memory,
                  fmt::format("device memory: {} of an arena of {} bytes failed: {} (free: {} bytes)", step, bytes,
                              std::strerror(code), device_memory_info().free_bytes));
    };
    const int descriptor = memfd_create("tandem-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return refused("creation", errno);
    // Pages are promised now: a full memory group is an error here and not a SIGBUS later.
    if (const int code = reserve_file(descriptor, bytes); code != 0) {
      close(descriptor);
      return refused("reservation", code);
    }
    (void)fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (base == MAP_FAILED) {
      const int code = errno;
      close(descriptor);
      return refused("mapping", code);
    }
    (void)madvise(base, bytes, MADV_DONTFORK);
    const uint32_t id = next_id_++;
    ArenaBlock& arena = arenas_[id];
    arena = {descriptor, ++generation_, static_cast<std::byte*>(base), bytes, {{0, bytes}}, {}};
    return &arena;
  }

  void close_arena(std::map<uint32_t, ArenaBlock>::iterator which) {
    munmap(which->second.base, which->second.size);
    // Peers that still map it keep the addresses, not the memory.
    (void)fallocate(which->second.descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                    static_cast<off_t>(which->second.size));
    close(which->second.descriptor);
    arenas_.erase(which);
  }

  std::mutex mutex_;
  std::map<uint32_t, ArenaBlock> arenas_;
  uint32_t next_id_ = 1;
  uint32_t generation_ = 0;
};

}  // namespace

Expected<void*> device_allocate(size_t bytes) { return ArenaRegistry::instance().allocate(bytes); }
Status device_free(void* pointer) { return ArenaRegistry::instance().release(pointer); }
Expected<ArenaRange> device_locate(const void* pointer) { return ArenaRegistry::instance().locate(pointer); }

DevicePin DevicePin::hold(const void* pointer, size_t bytes) {
  DevicePin pin;
  if (bytes == 0) return pin;
  pin.pins_ = ArenaRegistry::instance().pin(pointer, bytes, pin.place_);
  return pin;
}

DevicePin::~DevicePin() {
  if (pins_ != nullptr) pins_->fetch_sub(1, std::memory_order_release);
}

DevicePin::DevicePin(DevicePin&& other) noexcept
    : pins_(std::exchange(other.pins_, nullptr)), place_(other.place_) {}

DevicePin& DevicePin::operator=(DevicePin&& other) noexcept {
  std::swap(pins_, other.pins_);
  std::swap(place_, other.place_);
  return *this;
}

namespace {

// A "Name:  123 kB" line of /proc/meminfo in bytes, 0 if it is missing.
size_t meminfo(const std::string& name) {
  std::ifstream in("/proc/meminfo");
  std::string word;
  size_t kilobytes = 0;
  while (in >> word) {
    if (word == name + ":" && in >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace

DeviceMemoryInfo device_memory_info() {
  return {std::min(meminfo("MemAvailable"), cgroup_memory().free()), meminfo("MemTotal")};
}

}  // namespace tandem
