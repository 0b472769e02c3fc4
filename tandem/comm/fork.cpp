// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/fork.h"

#include <pthread.h>

namespace tandem {
namespace {

std::atomic<uint32_t> generation{0};
ForkAware* first = nullptr;

}  // namespace

uint32_t fork_generation() { return generation.load(std::memory_order_relaxed); }

std::mutex& fork_mutex() {
  static auto* mutex = new std::mutex;  // outlives every object that unlists itself at exit
  return *mutex;
}

void ForkAware::install() {
  static std::once_flag once;
  std::call_once(
      once, [] { pthread_atfork([] { fork_mutex().lock(); }, [] { fork_mutex().unlock(); }, &ForkAware::in_child); });
}

void ForkAware::in_child() {
  generation.fetch_add(1, std::memory_order_relaxed);
  for (ForkAware* item = first; item != nullptr; item = item->next_) item->abandon();
  fork_mutex().unlock();
}

ForkAware::ForkAware() : generation_(fork_generation()) { install(); }

void ForkAware::enlist() {
  const std::lock_guard lock(fork_mutex());
  next_ = first;
  if (first != nullptr) first->previous_ = this;
  first = this;
  listed_ = true;
}

void ForkAware::unlist() {
  const std::lock_guard lock(fork_mutex());
  if (!listed_) return;
  if (previous_ != nullptr) previous_->next_ = next_;
  if (previous_ == nullptr) first = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  listed_ = false;
}

}  // namespace tandem
