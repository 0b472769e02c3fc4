// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "acl/acl.h"
#include "securec.h"

extern "C" {
aclError copy_of_kind(void* dst, const void* src, size_t count, int kind);
aclError set_overflow_mode(int mode);
}

namespace {

class Memory : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
    ASSERT_EQ(aclrtMalloc(&device_, kBytes, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  }
  void TearDown() override { EXPECT_EQ(aclrtFree(device_), ACL_SUCCESS); }

  static constexpr size_t kBytes = 4096;
  void* device_ = nullptr;
  std::vector<char> host_ = std::vector<char>(kBytes, 'h');
};

TEST_F(Memory, AllocationChecksItsArguments) {
  void* block = nullptr;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(device_) % 64, 0u);
  EXPECT_EQ(aclrtMalloc(&block, 0, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(aclrtMalloc(nullptr, 1, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(aclrtMalloc(&block, SIZE_MAX - 5, ACL_MEM_MALLOC_HUGE_ONLY), ACL_ERROR_RT_MEMORY_ALLOCATION);
  EXPECT_EQ(aclrtMalloc(&block, size_t{1} << 60, ACL_MEM_MALLOC_HUGE_ONLY), ACL_ERROR_RT_MEMORY_ALLOCATION);
  EXPECT_EQ(block, nullptr);
}

TEST_F(Memory, WrongFreesAreErrors) {
  void* block = nullptr;
  ASSERT_EQ(aclrtMalloc(&block, 100, ACL_MEM_MALLOC_NORMAL_ONLY), ACL_SUCCESS);
  EXPECT_EQ(aclrtFree(block), ACL_SUCCESS);
  EXPECT_EQ(aclrtFree(block), ACL_ERROR_RT_PARAM_INVALID);
  EXPECT_EQ(aclrtFree(host_.data()), ACL_ERROR_RT_PARAM_INVALID);
  EXPECT_EQ(aclrtFree(nullptr), ACL_ERROR_INVALID_PARAM);
}

TEST_F(Memory, HostBlocksSurviveTheDevice) {
  void* block = nullptr;
  ASSERT_EQ(aclrtMallocHost(&block, 100), ACL_SUCCESS);
  EXPECT_EQ(aclrtFreeHost(host_.data()), ACL_ERROR_RT_PARAM_INVALID);
  EXPECT_EQ(aclrtResetDevice(0), ACL_SUCCESS);
  std::memset(block, 1, 100);
  EXPECT_EQ(aclrtFreeHost(block), ACL_SUCCESS);
  EXPECT_EQ(aclrtFreeHost(block), ACL_ERROR_RT_PARAM_INVALID);
  EXPECT_EQ(aclrtMallocHost(&block, SIZE_MAX), ACL_ERROR_RT_MEMORY_ALLOCATION);
}

TEST_F(Memory, CopiesThereAndBack) {
  std::vector<char> back(kBytes);
  EXPECT_EQ(aclrtMemcpy(device_, kBytes, host_.data(), kBytes, ACL_MEMCPY_HOST_TO_DEVICE), ACL_SUCCESS);
  EXPECT_EQ(aclrtMemcpy(back.data(), kBytes, device_, kBytes, ACL_MEMCPY_DEVICE_TO_HOST), ACL_SUCCESS);
  EXPECT_EQ(back, host_);
  EXPECT_EQ(aclrtMemset(device_, kBytes, 0x41, 10), ACL_SUCCESS);
  EXPECT_EQ(std::memcmp(device_, "AAAAAAAAAAhh", 12), 0);
}

TEST_F(Memory, CopiesCheckTheirArguments) {
  const auto kind = ACL_MEMCPY_HOST_TO_DEVICE;
  EXPECT_EQ(aclrtMemcpy(device_, 8, host_.data(), 9, kind), ACL_ERROR_INVALID_PARAM);
  EXPECT_NE(std::strstr(aclGetRecentErrMsg(), "count 9, at most destMax 8 wanted"), nullptr);
  EXPECT_EQ(aclrtMemcpy(nullptr, 8, host_.data(), 8, kind), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(aclrtMemcpy(device_, 8, nullptr, 8, kind), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(aclrtMemcpy(nullptr, 0, nullptr, 0, kind), ACL_SUCCESS);
  EXPECT_EQ(aclrtMemset(device_, 8, 0, 9), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(aclrtMemset(nullptr, 8, 0, 8), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(aclrtMemset(nullptr, 0, 0, 0), ACL_SUCCESS);
  EXPECT_EQ(copy_of_kind(device_, host_.data(), 8, 7), ACL_SUCCESS);
  EXPECT_EQ(copy_of_kind(device_, host_.data(), 8, 8), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(copy_of_kind(device_, host_.data(), 8, -1), ACL_ERROR_INVALID_PARAM);
}

TEST_F(Memory, CopiesInStreamOrder) {
  aclrtStream stream = nullptr;
  std::atomic<bool> open{false};
  const auto wait = [](void* flag) {
    while (!*static_cast<std::atomic<bool>*>(flag)) std::this_thread::yield();
  };
  ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  ASSERT_EQ(aclrtMemset(device_, kBytes, 0, kBytes), ACL_SUCCESS);
  ASSERT_EQ(aclrtLaunchHostFunc(stream, wait, &open), ACL_SUCCESS);
  ASSERT_EQ(aclrtMemcpyAsync(device_, kBytes, host_.data(), kBytes, ACL_MEMCPY_HOST_TO_DEVICE, stream), ACL_SUCCESS);
  ASSERT_EQ(aclrtMemsetAsync(device_, kBytes, 'z', 1, stream), ACL_SUCCESS);
  EXPECT_EQ(static_cast<char*>(device_)[1], 0);  // not before its turn
  open = true;
  ASSERT_EQ(aclrtSynchronizeStream(stream), ACL_SUCCESS);
  EXPECT_EQ(std::memcmp(device_, "zhhh", 4), 0);
  EXPECT_EQ(aclrtMemcpyAsync(device_, 8, host_.data(), 9, ACL_MEMCPY_DEFAULT, stream), ACL_ERROR_INVALID_PARAM);
}

TEST_F(Memory, CopiesRectangles) {
  const char source[] = "abcdefgh";
  ASSERT_EQ(aclrtMemset(device_, kBytes, '.', 16), ACL_SUCCESS);
  EXPECT_EQ(aclrtMemcpy2d(device_, 5, source, 4, 2, 2, ACL_MEMCPY_HOST_TO_DEVICE), ACL_SUCCESS);
  EXPECT_EQ(std::memcmp(device_, "ab...ef...", 10), 0);
  EXPECT_EQ(aclrtMemcpy2d(device_, 1, source, 4, 2, 2, ACL_MEMCPY_HOST_TO_DEVICE), ACL_ERROR_INVALID_PARAM);
  EXPECT_EQ(aclrtMemcpy2d(device_, 5, source, 1, 2, 2, ACL_MEMCPY_HOST_TO_DEVICE), ACL_ERROR_INVALID_PARAM);
}

TEST_F(Memory, InfoAndUnsupportedCalls) {
  size_t free = 0, total = 0;
  EXPECT_EQ(aclrtGetMemInfo(ACL_HBM_MEM, &free, &total), ACL_SUCCESS);
  EXPECT_GT(total, 0u);
  EXPECT_LE(free, total);
  void* address = nullptr;
  EXPECT_EQ(aclrtReserveMemAddress(&address, 4096, 0, nullptr, 0), ACL_ERROR_API_NOT_SUPPORT);
  EXPECT_EQ(set_overflow_mode(ACL_RT_OVERFLOW_MODE_INFNAN), ACL_SUCCESS);
  EXPECT_EQ(set_overflow_mode(ACL_RT_OVERFLOW_MODE_SATURATION), ACL_ERROR_RT_FEATURE_NOT_SUPPORT);
  EXPECT_EQ(set_overflow_mode(77), ACL_ERROR_RT_FEATURE_NOT_SUPPORT);
}

TEST(Securec, CopiesWithinTheRoom) {
  char text[8] = "xxxxxxx";
  EXPECT_EQ(strcpy_s(text, sizeof(text), "abc"), EOK);
  EXPECT_STREQ(text, "abc");
  EXPECT_EQ(strcat_s(text, sizeof(text), "defg"), EOK);
  EXPECT_STREQ(text, "abcdefg");
  EXPECT_EQ(strcat_s(text, sizeof(text), "h"), ERANGE_AND_RESET);
  EXPECT_STREQ(text, "");
  EXPECT_EQ(strncpy_s(text, sizeof(text), "abcdefghij", 3), EOK);
  EXPECT_STREQ(text, "abc");
  EXPECT_EQ(strcpy_s(text, sizeof(text), nullptr), EINVAL_AND_RESET);
  EXPECT_EQ(strcpy_s(nullptr, 1, "a"), EINVAL);
  EXPECT_EQ(memcpy_s(text, sizeof(text), "12345678", 9), ERANGE_AND_RESET);
  EXPECT_EQ(memcpy_s(text, sizeof(text), text + 1, 4), EOVERLAP_AND_RESET);
  EXPECT_EQ(memset_s(text, sizeof(text), 'q', 4), EOK);
  EXPECT_EQ(memmove_s(text, sizeof(text), text + 1, 4), EOK);
}

TEST(Securec, PrintsWithinTheRoom) {
  char text[8];
  EXPECT_EQ(sprintf_s(text, sizeof(text), "%d", 1234567), 7);
  EXPECT_EQ(sprintf_s(text, sizeof(text), "%d", 12345678), -1);
  EXPECT_STREQ(text, "");
  EXPECT_EQ(snprintf_s(text, sizeof(text), 3, "%s", "abcdef"), -1);
  EXPECT_STREQ(text, "abc");
}

}  // namespace
