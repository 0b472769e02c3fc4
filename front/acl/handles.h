// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tandem::front {

// A value no other handle of this process has or had. Handles are numbers, not addresses, so that a stale one is
// reported as unknown instead of being read.
void* next_handle();

template <class T>
class HandleTable {
 public:
  void* insert(std::shared_ptr<T> object) {
    void* handle = next_handle();
    const std::lock_guard lock(mutex_);
    objects_.emplace(handle, std::move(object));
    return handle;
  }

  std::shared_ptr<T> find(const void* handle) const {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }

  // Removes it; the object dies when its last user lets go.
  std::shared_ptr<T> take(const void* handle) {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(handle);
    if (found == objects_.end()) return nullptr;
    auto object = std::move(found->second);
    objects_.erase(found);
    return object;
  }

  std::vector<std::shared_ptr<T>> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<T>> objects;
    for (const auto& entry : objects_) objects.push_back(entry.second);
    return objects;
  }

  std::vector<std::pair<const void*, std::shared_ptr<T>>> entries() const {
    const std::lock_guard lock(mutex_);
    return {objects_.begin(), objects_.end()};
  }

  void clear() {
    std::unordered_map<const void*, std::shared_ptr<T>> dropped;
    const std::lock_guard lock(mutex_);
    dropped.swap(objects_);
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<const void*, std::shared_ptr<T>> objects_;
};

}  // namespace tandem::front
