// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/watcher.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

namespace tandem {

Expected<std::unique_ptr<Watcher>> Watcher::start(std::vector<Descriptor> pidfds, std::vector<Descriptor> witnesses,
                                                  std::function<void(int)> ended) {
  std::unique_ptr<Watcher> made(new Watcher);
  made->pidfds_ = std::move(pidfds);
  made->witnesses_ = std::move(witnesses);
  made->ended_ = std::move(ended);
  made->stop_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made->stop_.valid()) {
    return fail(ErrorCode::out_of_memory, fmt::format("connect: eventfd failed ({})", strerrordesc_np(errno)));
  }
  // The application's signals are for its own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&made->thread_, nullptr, &Watcher::entry, made.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    return fail(ErrorCode::out_of_memory,
                fmt::format("connect: no thread for the watcher ({}); see ulimit -u", strerrordesc_np(error)));
  }
  made->running_ = true;
  return made;
}

Watcher::~Watcher() {
  if (!running_) return;
  eventfd_write(stop_.get(), 1);
  pthread_join(thread_, nullptr);
}

void Watcher::abandon() noexcept {
  running_ = false;
  stop_.close();
  for (Descriptor& pidfd : pidfds_) pidfd.close();
  for (Descriptor& witness : witnesses_) witness.close();
}

void* Watcher::entry(void* self) {
  static_cast<Watcher*>(self)->watch();
  return nullptr;
}

void Watcher::watch() {
  std::vector<int> ranks;
  for (size_t rank = 0; rank < pidfds_.size(); ++rank) {
    if (pidfds_[rank].valid()) ranks.push_back(static_cast<int>(rank));
  }
  while (wait_for_one(ranks)) {
  }
}

// Reports and drops the ranks of `ranks` that ended; false when the watcher has to stop.
bool Watcher::wait_for_one(std::vector<int>& ranks) {
  std::vector<pollfd> events{{stop_.get(), POLLIN, 0}};
  for (const int rank : ranks) events.push_back({pidfds_[static_cast<size_t>(rank)].get(), POLLIN, 0});
  if (poll(events.data(), events.size(), -1) < 0) {
    // Out of memory for a moment: liveness must not end with it.
    if (errno != EINTR) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return true;
  }
  if (events[0].revents != 0) return false;
  std::vector<int> alive;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (events[i + 1].revents == 0) alive.push_back(ranks[i]);
    if (events[i + 1].revents != 0) ended_(ranks[i]);
  }
  ranks = std::move(alive);
  return true;
}

}  // namespace tandem
