// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "acl/acl.h"

namespace {

class Streams : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
    ASSERT_EQ(aclrtCreateStream(&stream_), ACL_SUCCESS);
  }

  // Work that holds the stream until open() is called.
  void block() { ASSERT_EQ(aclrtLaunchHostFunc(stream_, wait_for_gate, &gate_), ACL_SUCCESS); }
  void open() { gate_.promise.set_value(); }

  struct Gate {
    std::promise<void> promise;
    std::shared_future<void> opened = promise.get_future().share();
  };
  static void wait_for_gate(void* gate) { static_cast<Gate*>(gate)->opened.wait(); }
  static void count(void* counter) { ++*static_cast<std::atomic<int>*>(counter); }

  aclrtStreamStatus query() const {
    aclrtStreamStatus status = ACL_STREAM_STATUS_RESERVED;
    EXPECT_EQ(aclrtStreamQuery(stream_, &status), ACL_SUCCESS);
    return status;
  }

  aclrtStream stream_ = nullptr;
  Gate gate_;
};

TEST_F(Streams, AreAsynchronous) {
  block();
  EXPECT_EQ(query(), ACL_STREAM_STATUS_NOT_READY);
  EXPECT_EQ(aclrtSynchronizeStreamWithTimeout(stream_, 30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
  EXPECT_EQ(aclrtSynchronizeDeviceWithTimeout(30), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
  open();
  EXPECT_EQ(aclrtSynchronizeStreamWithTimeout(stream_, -1), ACL_SUCCESS);
  EXPECT_EQ(query(), ACL_STREAM_STATUS_COMPLETE);
  EXPECT_EQ(aclrtSynchronizeStreamWithTimeout(stream_, -2), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(aclrtDestroyStream(stream_), ACL_SUCCESS);
}

TEST_F(Streams, KeepTheirOrder) {
  struct Step {
    std::vector<int>* order;
    int number;
  };
  std::vector<int> order;
  std::vector<Step> steps;
  for (int i = 0; i < 100; ++i) steps.push_back({&order, i});
  for (auto& step : steps) {
    const auto note = [](void* argument) {
      auto* mine = static_cast<Step*>(argument);
      mine->order->push_back(mine->number);
    };
    ASSERT_EQ(aclrtLaunchHostFunc(stream_, note, &step), ACL_SUCCESS);
  }
  ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST_F(Streams, DoNotWaitForEachOther) {
  aclrtStream other = nullptr;
  ASSERT_EQ(aclrtCreateStream(&other), ACL_SUCCESS);
  block();
  std::atomic<int> counter{0};
  ASSERT_EQ(aclrtLaunchHostFunc(other, count, &counter), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStream(other), ACL_SUCCESS);
  EXPECT_EQ(counter, 1);
  open();
  EXPECT_EQ(aclrtSynchronizeDevice(), ACL_SUCCESS);
}

TEST_F(Streams, DestroyWaitsForQueuedWork) {
  std::atomic<int> counter{0};
  block();
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, count, &counter), ACL_SUCCESS);
  std::thread later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    open();
  });
  EXPECT_EQ(aclrtDestroyStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(counter, 1);
  later.join();
}

TEST_F(Streams, AbortDropsQueuedWork) {
  std::atomic<int> counter{0};
  block();
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, count, &counter), ACL_SUCCESS);
  ASSERT_EQ(aclrtStreamAbort(stream_), ACL_SUCCESS);
  open();
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);  // the gate is this test's: its work must not outlive it
  EXPECT_EQ(counter, 0);
  EXPECT_EQ(aclrtDestroyStreamForce(stream_), ACL_SUCCESS);
}

// Shared with work that nobody waits for: it must outlive the test.
struct Running {
  std::atomic<bool> started{false}, go{false}, ended{false};
  static void work(void* shared) {
    auto* mine = static_cast<Running*>(shared);
    mine->started = true;
    while (!mine->go) std::this_thread::yield();
    mine->ended = true;
  }
};

TEST_F(Streams, ForcedDestroyDoesNotWait) {
  static Running running;
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, Running::work, &running), ACL_SUCCESS);
  while (!running.started) std::this_thread::yield();
  EXPECT_EQ(aclrtDestroyStreamForce(stream_), ACL_SUCCESS);
  EXPECT_FALSE(running.ended);
  running.go = true;
  while (!running.ended) std::this_thread::yield();
}

TEST_F(Streams, ForcedResetDoesNotWait) {
  static Running own, programs;
  ASSERT_EQ(aclrtLaunchHostFunc(nullptr, Running::work, &own), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, Running::work, &programs), ACL_SUCCESS);
  while (!own.started || !programs.started) std::this_thread::yield();
  EXPECT_EQ(aclrtResetDeviceForce(0), ACL_SUCCESS);
  EXPECT_FALSE(own.ended || programs.ended);
  own.go = programs.go = true;
  EXPECT_EQ(aclrtDestroyStream(stream_), ACL_SUCCESS);
  while (!own.ended || !programs.ended) std::this_thread::yield();
}

// Two streams that wait for what never comes.
TEST_F(Streams, AbortEndsAWaitForAnEvent) {
  static Running running;
  aclrtStream other = nullptr;
  aclrtEvent event = nullptr;
  ASSERT_EQ(aclrtCreateStream(&other), ACL_SUCCESS);
  ASSERT_EQ(aclrtCreateEvent(&event), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(other, Running::work, &running), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(event, other), ACL_SUCCESS);
  ASSERT_EQ(aclrtStreamWaitEvent(stream_, event), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStreamWithTimeout(stream_, 20), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
  EXPECT_EQ(aclrtStreamAbort(stream_), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStreamWithTimeout(stream_, 20'000), ACL_SUCCESS);
  running.go = true;
  EXPECT_EQ(aclrtSynchronizeStream(other), ACL_SUCCESS);
}

TEST_F(Streams, DeviceSynchronisationCoversAllContexts) {
  static Running running;
  aclrtContext context = nullptr, primary = nullptr;
  ASSERT_EQ(aclrtGetCurrentContext(&primary), ACL_SUCCESS);
  ASSERT_EQ(aclrtCreateContext(&context, 0), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(nullptr, Running::work, &running), ACL_SUCCESS);
  ASSERT_EQ(aclrtSetCurrentContext(primary), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeDeviceWithTimeout(20), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
  running.go = true;
  EXPECT_EQ(aclrtSynchronizeDevice(), ACL_SUCCESS);
  EXPECT_TRUE(running.ended);
  EXPECT_EQ(aclrtDestroyContext(context), ACL_SUCCESS);
}

TEST_F(Streams, ThrowingCallbacksLetTheStreamGoOn) {
  std::atomic<int> counter{0};
  const auto throws = [](void*) { throw 7; };
  const auto id = static_cast<uint64_t>(pthread_self());
  ASSERT_EQ(aclrtSubscribeReport(id, stream_), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchCallback(throws, nullptr, ACL_CALLBACK_BLOCK, stream_), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, count, &counter), ACL_SUCCESS);
  EXPECT_EQ(aclrtProcessReport(20'000), ACL_ERROR_INTERNAL_ERROR);
  EXPECT_EQ(aclrtSynchronizeStreamWithTimeout(stream_, 20'000), ACL_SUCCESS);
  EXPECT_EQ(counter, 1);
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, throws, nullptr), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_ERROR_RT_INTERNAL_ERROR);
}

TEST_F(Streams, StaleHandlesAreErrors) {
  ASSERT_EQ(aclrtDestroyStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_ERROR_RT_INVALID_HANDLE);
  EXPECT_EQ(aclrtDestroyStream(stream_), ACL_ERROR_RT_INVALID_HANDLE);
  EXPECT_EQ(aclrtDestroyStream(nullptr), ACL_ERROR_INVALID_PARAM);
  aclrtStream next = nullptr;
  ASSERT_EQ(aclrtCreateStream(&next), ACL_SUCCESS);
  EXPECT_NE(next, stream_);
}

TEST_F(Streams, NullIsTheContextsOwn) {
  std::atomic<int> counter{0};
  ASSERT_EQ(aclrtLaunchHostFunc(nullptr, count, &counter), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStream(nullptr), ACL_SUCCESS);
  EXPECT_EQ(counter, 1);
  EXPECT_EQ(query(), ACL_STREAM_STATUS_COMPLETE);
}

TEST_F(Streams, OutliveTheirDevice) {
  std::atomic<int> counter{0};
  ASSERT_EQ(aclrtResetDevice(0), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, count, &counter), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(counter, 1);
  EXPECT_EQ(aclrtDestroyStream(stream_), ACL_SUCCESS);
}

// Callbacks run on the thread that subscribed, in stream order, and hold the stream where that is asked for.
TEST_F(Streams, CallbacksRunOnTheSubscriber) {
  struct Seen {
    std::atomic<pthread_t> thread{};
    std::atomic<int> calls{0};
  } seen;
  const auto note = [](void* argument) {
    auto* mine = static_cast<Seen*>(argument);
    mine->thread = pthread_self();
    ++mine->calls;
  };
  EXPECT_EQ(aclrtLaunchCallback(note, &seen, ACL_CALLBACK_BLOCK, stream_), ACL_ERROR_RT_STREAM_NO_CB_REG);
  std::atomic<bool> stop{false};
  std::promise<uint64_t> started;
  std::thread server([&] {
    started.set_value(static_cast<uint64_t>(pthread_self()));
    while (!stop) aclrtProcessReport(10);
  });
  const uint64_t id = started.get_future().get();
  ASSERT_EQ(aclrtSubscribeReport(id, stream_), ACL_SUCCESS);
  EXPECT_EQ(aclrtSubscribeReport(id, stream_), ACL_ERROR_RT_STREAM_SUBSCRIBE);
  ASSERT_EQ(aclrtLaunchCallback(note, &seen, ACL_CALLBACK_BLOCK, stream_), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(seen.calls, 1);
  EXPECT_NE(pthread_equal(seen.thread, server.native_handle()), 0);
  EXPECT_EQ(aclrtUnSubscribeReport(id, stream_), ACL_SUCCESS);
  EXPECT_EQ(aclrtUnSubscribeReport(id, stream_), ACL_ERROR_RT_THREAD_SUBSCRIBE);
  stop = true;
  server.join();
  EXPECT_EQ(aclrtProcessReport(0), ACL_ERROR_THREAD_NOT_SUBSCRIBE);
}

}  // namespace
