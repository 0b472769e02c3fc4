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
  Status fault;  // of the stream when it got here

  void pass(Status stream_fault) {
    const std::lock_guard lock(mutex);
    passed = true;
    reached = monotonic_ns();
    fault = std::move(stream_fault);
    changed.notify_all();
  }
  // False when `timeout_ms` (>= 0) passed first. `given_up` is asked again at each wake().
  template <class GivenUp>
  bool await(int64_t timeout_ms, GivenUp given_up) {
    std::unique_lock lock(mutex);
    const auto done = [&] { return passed || given_up(); };
    if (timeout_ms >= 0) return changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), done);
    changed.wait(lock, done);
    return true;
  }
  bool await(int64_t timeout_ms) {
    return await(timeout_ms, [] { return false; });
  }
  void wake() {
    const std::lock_guard lock(mutex);
    changed.notify_all();
  }
  Status fault_so_far() {
    const std::lock_guard lock(mutex);
    return fault;
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

Status Event::fault() const {
  const auto mark = state_->current();
  return mark ? mark->fault_so_far() : Status{};
}

Event Event::snapshot() const {
  Event copy;
  copy.state_->replace(state_->current());
  return copy;
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
  std::atomic<uint64_t> drops{0};        // calls of drop_pending
  std::shared_ptr<Event::Mark> awaited;  // what the worker waits for

  bool empty() const { return queue.empty() && !running; }
  Status fault() const {
    const std::lock_guard lock(mutex);
    return sticky;
  }
  // Why no work is taken, if so. Under `mutex`.
  Status closed() const;
  Status await(const std::shared_ptr<Event::Mark>& mark, int64_t timeout_ms, uint64_t drops_then);
  void work_off(Device& device);
};

Status Stream::State::closed() const {
  if (!sticky || !stop) return sticky;
  return fail(ErrorCode::cancelled, "stream: it was given up, one that was not destroyed wanted");
}

// On the worker.
Status Stream::State::await(const std::shared_ptr<Event::Mark>& mark, int64_t timeout_ms, uint64_t drops_then) {
  const auto set_awaited = [this](std::shared_ptr<Event::Mark> now) {
    const std::lock_guard lock(mutex);
    awaited = std::move(now);
  };
  set_awaited(mark);
  const bool in_time = mark->await(timeout_ms, [&] { return drops != drops_then; });
  set_awaited(nullptr);
  if (in_time) return mark->fault_so_far();
  return fail(ErrorCode::timed_out,
              "stream: " + std::to_string(timeout_ms) + " ms passed, the event it waits for was not reached");
}

namespace {

Status run_task(const Stream::Task& task, Lane& lane) {
  try {
    return task(lane);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::out_of_memory, "stream: memory for a task was refused");
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, std::string("stream: a task threw: ") + error.what());
  } catch (...) {
    return fail(ErrorCode::internal, "stream: a task threw something that is no std::exception");
  }
}

}  // namespace

// The worker's life.
void Stream::State::work_off(Device& device) {
  set_kernel_float_mode();
  std::shared_ptr<ThreadTeam> team;
  std::unique_lock lock(mutex);
  while (true) {
    work.wait(lock, [&] { return stop || !queue.empty(); });
    if (queue.empty()) return;
    Entry entry = std::move(queue.front());
    queue.pop_front();
    const bool dropped = !sticky && !entry.always;
    running = true;
    lock.unlock();
    Status result;
    if (!dropped) {
      if (auto current = device.team(); current != team) {
        team = std::move(current);
        team->pin_caller();
      }
      Lane lane{team.get(), nullptr, &scratch};
      result = run_task(entry.task, lane);
    }
    entry.task = nullptr;  // what a task holds is released before the stream counts as idle
    lock.lock();
    running = false;
    if (!result && sticky) sticky = std::move(result);
    if (queue.empty()) idle.notify_all();
  }
}

Stream::Stream(Device& device) : device_(device), state_(std::make_shared<State>()) {}

Expected<std::unique_ptr<Stream>> Stream::create(Device& device) {
  std::unique_ptr<Stream> stream(new Stream(device));
  try {
    stream->state_->worker = std::thread([state = stream->state_, &device] { state->work_off(device); });
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
  if (Status s = state_->closed(); !s) return s;
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
  if (state_->stop) return mark->pass(state_->closed());
  const auto pass = [mark, state = state_.get()](Lane&) -> Status {
    mark->pass(state->fault());
    return {};
  };
  state_->queue.push_back({pass, true});
  state_->work.notify_one();
}

Status Stream::wait(const Event& event, int64_t timeout_ms) {
  const auto mark = event.state_->current();  // the recording of now: a later one does not concern this wait
  const std::lock_guard lock(state_->mutex);
  if (Status s = state_->closed(); !s || !mark) return s;
  const auto block = [mark, timeout_ms, state = state_.get(), drops = state_->drops.load()](Lane&) {
    return state->await(mark, timeout_ms, drops);
  };
  state_->queue.push_back({block, false});
  state_->work.notify_one();
  return {};
}

void Stream::drop_pending() {
  std::deque<Entry> dropped;  // destroyed last, without the lock: tasks may hold anything
  std::shared_ptr<Event::Mark> awaited;
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->drops;
    awaited = state_->awaited;
    for (auto& entry : state_->queue) {
      if (entry.always) continue;
      dropped.push_back({std::move(entry.task), false});
      entry.task = [](Lane&) -> Status { return {}; };
    }
  }
  if (awaited) awaited->wake();
}

void Stream::abandon() {
  drop_pending();
  const std::lock_guard lock(state_->mutex);
  state_->stop = true;
  if (state_->worker.joinable()) state_->worker.detach();
  state_->work.notify_all();
}

}  // namespace tandem
