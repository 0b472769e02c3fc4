// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/stream.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "tandem/exec/device.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/team.h"
#include "tandem/exec/wait.h"

namespace tandem {

// One recording: passed once, never again.
struct Event::Mark {
  std::mutex mutex;
  std::condition_variable changed;
  bool passed = false;
  int64_t reached = 0;

  void pass() {
    const std::lock_guard lock(mutex);
    passed = true;
    reached = monotonic_ns();
    changed.notify_all();
  }
  bool await(int64_t timeout_ms) {
    std::unique_lock lock(mutex);
    const auto done = [&] { return passed; };
    if (timeout_ms >= 0) return changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), done);
    changed.wait(lock, done);
    return true;
  }
};

struct Event::State {
  std::mutex mutex;
  std::shared_ptr<Mark> last;  // null: not recorded

  std::shared_ptr<Mark> current() {
    const std::lock_guard lock(mutex);
    return last;
  }
  void replace(std::shared_ptr<Mark> mark) {
    const std::lock_guard lock(mutex);
    last = std::move(mark);
  }
};

Event::Event() : state_(std::make_shared<State>()) {}

bool Event::complete() const {
  const auto mark = state_->current();
  return !mark || mark->await(0);
}

bool Event::synchronize(int64_t timeout_ms) const {
  const auto mark = state_->current();
  return !mark || mark->await(timeout_ms);
}

int64_t Event::reached_ns() const {
  const auto mark = state_->current();
  if (!mark) return 0;
  const std::lock_guard lock(mark->mutex);
  return mark->reached;
}

void Event::reset() { state_->replace(nullptr); }

namespace {

// What the queue holds: work that an error drops, or a mark that passes in any case.
struct Entry {
  Stream::Task task;
  bool always = false;
};

}  // namespace

struct Stream::State {
  mutable std::mutex mutex;
  std::condition_variable work, idle;
  std::deque<Entry> queue;
  bool running = false;
  bool stop = false;
  Status sticky;
  Scratch scratch;
  std::thread worker;

  bool empty() const { return queue.empty() && !running; }
};

namespace {

Status run_task(const Stream::Task& task, Lane& lane) {
  try {
    return task(lane);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::out_of_memory, "stream: memory for a task was refused");
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, std::string("stream: a task threw: ") + error.what());
  }
}

}  // namespace

Stream::Stream(Device& device) : device_(device), state_(std::make_unique<State>()) {}

Expected<std::unique_ptr<Stream>> Stream::create(Device& device) {
  std::unique_ptr<Stream> stream(new Stream(device));
  State& state = *stream->state_;
  const auto loop = [&state, &device] {
    set_kernel_float_mode();
    std::shared_ptr<ThreadTeam> team;
    std::unique_lock lock(state.mutex);
    while (true) {
      state.work.wait(lock, [&] { return state.stop || !state.queue.empty(); });
      if (state.queue.empty()) return;
      Entry entry = std::move(state.queue.front());
      state.queue.pop_front();
      const bool dropped = !state.sticky && !entry.always;
      state.running = true;
      lock.unlock();
      Status result;
      if (!dropped) {
        if (auto current = device.team(); current != team) {
          team = std::move(current);
          team->pin_caller();
        }
        Lane lane{team.get(), nullptr, &state.scratch};
        result = run_task(entry.task, lane);
      }
      entry.task = nullptr;  // what a task holds is released before the stream counts as idle
      lock.lock();
      state.running = false;
      if (!result && state.sticky) state.sticky = std::move(result);
      if (state.queue.empty()) state.idle.notify_all();
    }
  };
  try {
    state.worker = std::thread(loop);
  } catch (const std::system_error& error) {
    return fail(ErrorCode::out_of_memory, std::string("stream: no thread could be started: ") + error.what());
  }
  return stream;
}

Stream::~Stream() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
    state_->work.notify_all();
  }
  if (state_->worker.joinable()) state_->worker.join();
}

Status Stream::submit(Task task) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->sticky) return state_->sticky;
  state_->queue.push_back({std::move(task), false});
  state_->work.notify_one();
  return {};
}

Status Stream::synchronize() {
  std::unique_lock lock(state_->mutex);
  state_->idle.wait(lock, [&] { return state_->empty(); });
  return state_->sticky;
}

std::optional<Status> Stream::synchronize_for(int64_t timeout_ms) {
  std::unique_lock lock(state_->mutex);
  const bool done = state_->idle.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return state_->empty(); });
  if (!done) return std::nullopt;
  return state_->sticky;
}

bool Stream::idle() const {
  const std::lock_guard lock(state_->mutex);
  return state_->empty();
}

void Stream::record(Event& event) {
  const auto mark = std::make_shared<Event::Mark>();
  event.state_->replace(mark);
  const std::lock_guard lock(state_->mutex);
  const auto pass = [mark](Lane&) -> Status {
    mark->pass();
    return {};
  };
  state_->queue.push_back({pass, true});
  state_->work.notify_one();
}

void Stream::wait(const Event& event) {
  const auto mark = event.state_->current();  // the recording of now: a later one does not concern this wait
  if (!mark) return;
  const std::lock_guard lock(state_->mutex);
  const auto block = [mark](Lane&) -> Status {
    mark->await(-1);
    return {};
  };
  state_->queue.push_back({block, true});
  state_->work.notify_one();
}

void Stream::drop_pending() {
  std::deque<Entry> dropped;
  const std::lock_guard lock(state_->mutex);
  for (auto& entry : state_->queue) {
    if (entry.always) continue;
    dropped.push_back({std::move(entry.task), false});
    entry.task = [](Lane&) -> Status { return {}; };
  }
}

}  // namespace tandem
