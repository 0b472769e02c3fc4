// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <thread>

#include "acl/acl.h"

namespace {

uint32_t device_count() {
  uint32_t count = 0;
  EXPECT_EQ(aclrtGetDeviceCount(&count), ACL_SUCCESS);
  return count;
}

int current_device() {
  int32_t device = -1;
  return aclrtGetDevice(&device) == ACL_SUCCESS ? device : -1;
}

TEST(Devices, EightBeforeInit) { EXPECT_EQ(device_count(), 8u); }

TEST(Devices, CountFromTheEnvironment) {
  setenv("TANDEM_DEVICES", "16", 1);
  EXPECT_EQ(device_count(), 16u);
  EXPECT_EQ(aclrtSetDevice(15), ACL_SUCCESS);
  EXPECT_EQ(aclrtSetDevice(16), ACL_ERROR_RT_INVALID_DEVICEID);
}

TEST(Devices, VisibleOnesAreRenumbered) {
  setenv("ASCEND_RT_VISIBLE_DEVICES", "5,2", 1);
  EXPECT_EQ(device_count(), 2u);
  EXPECT_EQ(aclrtSetDevice(1), ACL_SUCCESS);
  EXPECT_EQ(current_device(), 1);
  int32_t physical = -1, logical = -1;
  EXPECT_EQ(aclrtGetPhyDevIdByLogicDevId(1, &physical), ACL_SUCCESS);
  EXPECT_EQ(physical, 2);
  EXPECT_EQ(aclrtGetLogicDevIdByPhyDevId(5, &logical), ACL_SUCCESS);
  EXPECT_EQ(logical, 0);
  int32_t user = -1;
  EXPECT_EQ(aclrtGetPhyDevIdByUserDevId(0, &physical), ACL_SUCCESS);
  EXPECT_EQ(physical, 5);
  EXPECT_EQ(aclrtGetUserDevIdByPhyDevId(2, &user), ACL_SUCCESS);
  EXPECT_EQ(user, 1);
  EXPECT_EQ(aclrtSetDevice(2), ACL_ERROR_RT_INVALID_DEVICEID);
}

TEST(Devices, ListEndsAtTheFirstWrongNumber) {
  setenv("ASCEND_RT_VISIBLE_DEVICES", "1,x,3", 1);
  EXPECT_EQ(device_count(), 1u);
  setenv("ASCEND_RT_VISIBLE_DEVICES", "1,1,3", 1);
  EXPECT_EQ(device_count(), 1u);
  setenv("ASCEND_RT_VISIBLE_DEVICES", "99999999999", 1);
  EXPECT_EQ(device_count(), 0u);
}

TEST(Devices, BelongToTheThreadAndAreCounted) {
  EXPECT_EQ(current_device(), -1);
  ASSERT_EQ(aclrtSetDevice(3), ACL_SUCCESS);
  ASSERT_EQ(aclrtSetDevice(3), ACL_SUCCESS);
  std::thread([] {
    EXPECT_EQ(current_device(), -1);
    EXPECT_EQ(aclrtSetDevice(4), ACL_SUCCESS);
    EXPECT_EQ(current_device(), 4);
  }).join();
  EXPECT_EQ(current_device(), 3);
  EXPECT_EQ(aclrtResetDevice(3), ACL_SUCCESS);
  EXPECT_EQ(current_device(), 3);
  EXPECT_EQ(aclrtResetDevice(3), ACL_SUCCESS);
  EXPECT_EQ(current_device(), -1);
  EXPECT_EQ(aclrtResetDevice(99), ACL_ERROR_RT_INVALID_DEVICEID);
}

TEST(Contexts, TravelBetweenThreads) {
  aclrtContext context = nullptr;
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  ASSERT_EQ(aclrtCreateContext(&context, 2), ACL_SUCCESS);
  EXPECT_EQ(current_device(), 2);
  std::thread([&] {
    aclrtContext mine = nullptr;
    EXPECT_EQ(aclrtGetCurrentContext(&mine), ACL_ERROR_RT_CONTEXT_NULL);
    EXPECT_EQ(aclrtSetCurrentContext(context), ACL_SUCCESS);
    EXPECT_EQ(current_device(), 2);
    EXPECT_EQ(aclrtGetCurrentContext(&mine), ACL_SUCCESS);
    EXPECT_EQ(mine, context);
  }).join();
  EXPECT_EQ(aclrtDestroyContext(context), ACL_SUCCESS);
  EXPECT_EQ(current_device(), -1);
  EXPECT_EQ(aclrtSetCurrentContext(context), ACL_ERROR_RT_CONTEXT_NULL);
  EXPECT_EQ(aclrtDestroyContext(context), ACL_ERROR_RT_CONTEXT_NULL);
}

TEST(Contexts, TheDevicesOwnIsNotDestroyed) {
  aclrtContext primary = nullptr;
  ASSERT_EQ(aclrtSetDevice(1), ACL_SUCCESS);
  ASSERT_EQ(aclrtGetCurrentContext(&primary), ACL_SUCCESS);
  EXPECT_EQ(aclrtDestroyContext(primary), ACL_ERROR_RT_PARAM_INVALID);
  EXPECT_EQ(current_device(), 1);
}

TEST(Contexts, AreNeededForStreamsAndMemory) {
  aclrtStream stream = nullptr;
  void* memory = nullptr;
  EXPECT_EQ(aclrtCreateStream(&stream), ACL_ERROR_RT_CONTEXT_NULL);
  EXPECT_EQ(aclrtMalloc(&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_CONTEXT_NULL);
  EXPECT_EQ(aclrtSynchronizeStream(nullptr), ACL_ERROR_RT_CONTEXT_NULL);
}

TEST(Parameters, AreKept) {
  int64_t value = -1;
  EXPECT_EQ(aclrtSetSysParamOpt(ACL_OPT_DETERMINISTIC, 1), ACL_SUCCESS);
  EXPECT_EQ(aclrtGetSysParamOpt(ACL_OPT_DETERMINISTIC, &value), ACL_SUCCESS);
  EXPECT_EQ(value, 1);
}

}  // namespace
