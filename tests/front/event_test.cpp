// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "acl/acl.h"

namespace {

class Events : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
    ASSERT_EQ(aclrtCreateStream(&stream_), ACL_SUCCESS);
    ASSERT_EQ(aclrtCreateEvent(&event_), ACL_SUCCESS);
  }

  static void sleep_20ms(void*) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }
  static void wait_until_open(void* open) {
    while (!*static_cast<std::atomic<bool>*>(open)) std::this_thread::yield();
  }

  aclrtEventRecordedStatus recorded() const {
    aclrtEventRecordedStatus status = ACL_EVENT_RECORDED_STATUS_NOT_READY;
    EXPECT_EQ(aclrtQueryEventStatus(event_, &status), ACL_SUCCESS);
    return status;
  }

  aclrtStream stream_ = nullptr;
  aclrtEvent event_ = nullptr;
  std::atomic<bool> open_{false};
};

TEST_F(Events, NeverRecordedDoesNotBlock) {
  EXPECT_EQ(aclrtSynchronizeEvent(event_), ACL_SUCCESS);
  EXPECT_EQ(recorded(), ACL_EVENT_RECORDED_STATUS_NOT_READY);
}

TEST_F(Events, AreReachedInStreamOrder) {
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, wait_until_open, &open_), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(event_, stream_), ACL_SUCCESS);
  EXPECT_EQ(recorded(), ACL_EVENT_RECORDED_STATUS_NOT_READY);
  EXPECT_EQ(aclrtSynchronizeEventWithTimeout(event_, 20), ACL_ERROR_RT_EVENT_SYNC_TIMEOUT);
  open_ = true;
  EXPECT_EQ(aclrtSynchronizeEvent(event_), ACL_SUCCESS);
  EXPECT_EQ(recorded(), ACL_EVENT_RECORDED_STATUS_COMPLETE);
}

TEST_F(Events, MeasureTime) {
  aclrtEvent end = nullptr;
  float ms = -1;
  ASSERT_EQ(aclrtCreateEventWithFlag(&end, ACL_EVENT_TIME_LINE), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(event_, stream_), ACL_SUCCESS);
  EXPECT_EQ(aclrtEventElapsedTime(&ms, event_, end), ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID);
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, sleep_20ms, nullptr), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(end, stream_), ACL_SUCCESS);
  ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  ASSERT_EQ(aclrtEventElapsedTime(&ms, event_, end), ACL_SUCCESS);
  EXPECT_GE(ms, 20.0F);
  EXPECT_LT(ms, 20000.0F);
  EXPECT_EQ(aclrtEventElapsedTime(&ms, end, event_), ACL_ERROR_RT_EVENT_TIMESTAMP_REVERSAL);
}

TEST_F(Events, OrderTwoStreams) {
  aclrtStream second = nullptr;
  std::atomic<bool> passed{false};
  const auto pass = [](void* flag) { *static_cast<std::atomic<bool>*>(flag) = true; };
  aclrtEventWaitStatus waiting = ACL_EVENT_WAIT_STATUS_RESERVED;
  ASSERT_EQ(aclrtCreateStream(&second), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, wait_until_open, &open_), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(event_, stream_), ACL_SUCCESS);
  ASSERT_EQ(aclrtStreamWaitEvent(second, event_), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(second, pass, &passed), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStreamWithTimeout(second, 20), ACL_ERROR_RT_STREAM_SYNC_TIMEOUT);
  EXPECT_EQ(aclrtQueryEventWaitStatus(event_, &waiting), ACL_SUCCESS);
  EXPECT_EQ(waiting, ACL_EVENT_WAIT_STATUS_NOT_READY);
  EXPECT_FALSE(passed);
  open_ = true;
  EXPECT_EQ(aclrtSynchronizeStream(second), ACL_SUCCESS);
  EXPECT_TRUE(passed);
  EXPECT_EQ(aclrtQueryEventWaitStatus(event_, &waiting), ACL_SUCCESS);
  EXPECT_EQ(waiting, ACL_EVENT_WAIT_STATUS_COMPLETE);
}

TEST_F(Events, WaitWithTimeoutFailsTheStream) {
  aclrtStream second = nullptr;
  ASSERT_EQ(aclrtCreateStream(&second), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, wait_until_open, &open_), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(event_, stream_), ACL_SUCCESS);
  ASSERT_EQ(aclrtStreamWaitEventWithTimeout(second, event_, 10), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeStream(second), ACL_ERROR_RT_TASK_TIMEOUT);
  EXPECT_EQ(aclrtSynchronizeStream(second), ACL_ERROR_RT_TASK_TIMEOUT);  // it stays
  open_ = true;
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
}

// The wait concerns the recording it saw, whatever becomes of the event.
TEST_F(Events, WaitWithTimeoutIsForTheRecordingOfThen) {
  aclrtStream second = nullptr;
  std::atomic<bool> later{false};
  ASSERT_EQ(aclrtCreateStream(&second), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(event_, stream_), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(second, wait_until_open, &open_), ACL_SUCCESS);
  ASSERT_EQ(aclrtStreamWaitEventWithTimeout(second, event_, 50), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(stream_, wait_until_open, &later), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(event_, stream_), ACL_SUCCESS);
  open_ = true;
  EXPECT_EQ(aclrtSynchronizeStream(second), ACL_SUCCESS);
  later = true;
  EXPECT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
}

TEST_F(Events, CarryTheErrorOfTheirStream) {
  aclrtStream second = nullptr, third = nullptr;
  aclrtEvent never = nullptr;
  std::atomic<bool> later{false};
  ASSERT_EQ(aclrtCreateStream(&second), ACL_SUCCESS);
  ASSERT_EQ(aclrtCreateStream(&third), ACL_SUCCESS);
  ASSERT_EQ(aclrtCreateEvent(&never), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(third, wait_until_open, &later), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(never, third), ACL_SUCCESS);
  ASSERT_EQ(aclrtStreamWaitEventWithTimeout(stream_, never, 10), ACL_SUCCESS);
  ASSERT_EQ(aclrtRecordEvent(event_, stream_), ACL_SUCCESS);
  ASSERT_EQ(aclrtStreamWaitEvent(second, event_), ACL_SUCCESS);
  EXPECT_EQ(aclrtSynchronizeEvent(event_), ACL_ERROR_RT_TASK_TIMEOUT);
  ASSERT_NE(aclGetRecentErrMsg(), nullptr);
  EXPECT_NE(std::string(aclGetRecentErrMsg()).find("10 ms"), std::string::npos) << aclGetRecentErrMsg();
  EXPECT_EQ(aclrtSynchronizeStream(second), ACL_ERROR_RT_TASK_TIMEOUT);
  later = true;
  EXPECT_EQ(aclrtSynchronizeStream(third), ACL_SUCCESS);
}

TEST_F(Events, StaleHandlesAreErrors) {
  ASSERT_EQ(aclrtDestroyEvent(event_), ACL_SUCCESS);
  EXPECT_EQ(aclrtDestroyEvent(event_), ACL_ERROR_RT_INVALID_HANDLE);
  EXPECT_EQ(aclrtRecordEvent(event_, stream_), ACL_ERROR_RT_INVALID_HANDLE);
  EXPECT_EQ(aclrtRecordEvent(stream_, stream_), ACL_ERROR_RT_INVALID_HANDLE);  // a stream is no event
}

}  // namespace
