// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>

#include <functional>
#include <memory>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/comm/descriptor.h"

namespace tandem {

// One thread that learns from pidfds when a peer process ended, within a millisecond and without any polling.
class Watcher {
 public:
  // pidfds[r] is the process of rank r; an invalid one is not watched. `ended` runs on the watcher's thread, once a
  // rank. `witnesses` are sockets to the same processes: kept open, but no proof of life, because a forked child may
  // keep a dead peer's socket open.
  static Expected<std::unique_ptr<Watcher>> start(std::vector<Descriptor> pidfds, std::vector<Descriptor> witnesses,
                                                  std::function<void(int rank)> ended);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // In a forked child: closes everything; the thread does not exist here.
  void abandon() noexcept;

 private:
  Watcher() = default;
  static void* entry(void* self);
  void watch();
  bool wait_for_one(std::vector<int>& ranks);

  std::vector<Descriptor> pidfds_;
  std::vector<Descriptor> witnesses_;
  std::function<void(int)> ended_;
  Descriptor stop_;
  pthread_t thread_{};
  bool running_ = false;
};

}  // namespace tandem
