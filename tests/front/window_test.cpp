// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include "problem.h"
#include "tandem/comm/communicator.h"

namespace {

// MiB of the window of a communicator whose config says `buffer_mb`.
size_t window_of(uint32_t buffer_mb) {
  HcclRootInfo info;
  HcclCommConfig config;
  HcclComm comm = nullptr;
  HcclCommConfigInit(&config);
  config.hcclBufferSize = buffer_mb;
  EXPECT_EQ(HcclGetRootInfo(&info), HCCL_SUCCESS);
  EXPECT_EQ(HcclCommInitRootInfoConfig(1, &info, 0, &config, &comm), HCCL_SUCCESS);
  size_t bytes = 0;
  if (const auto found = tandem::Communicator::find(name_of(comm), 0)) bytes = (*found)->window_bytes();
  EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
  return bytes >> 20;
}

TEST(Windows, AreBoundedByTheConfigOnly) {
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  EXPECT_EQ(window_of(4), 4u);
  EXPECT_EQ(window_of(200), 8u);
  EXPECT_EQ(window_of(HCCL_COMM_BUFFSIZE_CONFIG_NOT_SET), 8u);
  setenv("TANDEM_WINDOW_MB", "2", 1);
  EXPECT_EQ(window_of(1), 1u);
  EXPECT_EQ(window_of(4), 2u);
  setenv("TANDEM_WINDOW_MB", "32", 1);
  EXPECT_EQ(window_of(12), 12u);
  EXPECT_EQ(window_of(200), 32u);
}

}  // namespace
