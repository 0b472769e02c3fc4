// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>

namespace tandem {

// How often this process came out of a fork(); an object made under another number belongs to an ancestor.
uint32_t fork_generation();
// Guards the lists that a forked child walks; held across fork() so that the child finds it free.
std::mutex& fork_mutex();

// Something that must let go of its descriptors in a forked child. The most derived class calls enlist() when it is
// complete and unlist() first thing in its destructor, so that a fork() by another thread never meets half an object.
class ForkAware {
 public:
  ForkAware(const ForkAware&) = delete;
  ForkAware& operator=(const ForkAware&) = delete;
  // Made before the fork this process came out of: descriptors are closed and windows not mapped.
  bool foreign() const { return generation_ != fork_generation(); }

 protected:
  ForkAware();
  virtual ~ForkAware() = default;
  void enlist();
  void unlist();
  // Runs in the child, between fork() and its return: closing and assigning only, no locks, no allocation.
  virtual void abandon() noexcept = 0;

 private:
  static void in_child();
  static void install();
  uint32_t generation_;
  ForkAware* next_ = nullptr;
  ForkAware* previous_ = nullptr;
  bool listed_ = false;
};

}  // namespace tandem
