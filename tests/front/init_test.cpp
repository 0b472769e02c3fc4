// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "acl/acl.h"

namespace {

std::string file_with(const char* content) {
  char path[] = "/tmp/tandem-front-XXXXXX";
  const int descriptor = mkstemp(path);
  EXPECT_GE(descriptor, 0);
  std::ofstream(path) << content;
  return path;
}

TEST(Init, TwiceAndBack) {
  EXPECT_EQ(aclFinalize(), ACL_ERROR_UNINITIALIZE);
  EXPECT_EQ(aclInit(nullptr), ACL_SUCCESS);
  EXPECT_EQ(aclInit(nullptr), ACL_ERROR_REPEAT_INITIALIZE);
  EXPECT_EQ(aclFinalize(), ACL_SUCCESS);
  EXPECT_EQ(aclFinalize(), ACL_ERROR_REPEAT_FINALIZE);
  EXPECT_EQ(aclInit(""), ACL_SUCCESS);
  EXPECT_EQ(aclFinalize(), ACL_SUCCESS);
}

TEST(Init, CountsReferences) {
  uint64_t left = 99;
  ASSERT_EQ(aclInit(nullptr), ACL_SUCCESS);
  ASSERT_EQ(aclInit(nullptr), ACL_ERROR_REPEAT_INITIALIZE);
  EXPECT_EQ(aclFinalizeReference(&left), ACL_SUCCESS);
  EXPECT_EQ(left, 1u);
  EXPECT_EQ(aclFinalizeReference(&left), ACL_SUCCESS);
  EXPECT_EQ(left, 0u);
  EXPECT_EQ(aclFinalizeReference(&left), ACL_ERROR_REPEAT_FINALIZE);
}

TEST(Init, ReadsTheConfigFile) {
  EXPECT_EQ(aclInit("/nonexistent/acl.json"), ACL_ERROR_INVALID_FILE);
  EXPECT_NE(std::string(aclGetRecentErrMsg()).find("/nonexistent/acl.json"), std::string::npos);
  const std::string broken = file_with("{ not json");
  EXPECT_EQ(aclInit(broken.c_str()), ACL_ERROR_PARSE_FILE);
  const std::string good = file_with("{}");
  EXPECT_EQ(aclInit(good.c_str()), ACL_SUCCESS);
  std::remove(broken.c_str());
  std::remove(good.c_str());
}

TEST(Init, MessagesBelongToTheThread) {
  EXPECT_EQ(aclGetRecentErrMsg(), nullptr);
  EXPECT_EQ(aclrtSetDevice(1234), ACL_ERROR_RT_INVALID_DEVICEID);
  ASSERT_NE(aclGetRecentErrMsg(), nullptr);
  EXPECT_NE(std::string(aclGetRecentErrMsg()).find("1234"), std::string::npos);
}

TEST(Init, Versions) {
  int32_t major = 0, minor = 0, patch = -1;
  EXPECT_EQ(aclrtGetVersion(&major, &minor, &patch), ACL_SUCCESS);
  EXPECT_EQ(major, 1);
  EXPECT_EQ(minor, 13);
  EXPECT_EQ(patch, 0);
  EXPECT_EQ(aclrtGetVersion(nullptr, &minor, &patch), ACL_ERROR_INVALID_PARAM);
  aclCANNPackageVersion package;
  EXPECT_EQ(aclsysGetCANNVersion(ACL_PKG_NAME_CANN, &package), ACL_SUCCESS);
  EXPECT_STREQ(package.version, "8.1.RC1");
  EXPECT_STREQ(package.majorVersion, "8");
  EXPECT_EQ(aclsysGetCANNVersion(ACL_PKG_NAME_DRIVER, &package), ACL_ERROR_INVALID_FILE);
}

TEST(Init, SocNameFromTheEnvironment) {
  setenv("TANDEM_SOC", "Ascend910B4", 1);
  EXPECT_STREQ(aclrtGetSocName(), "Ascend910B4");
}

TEST(Init, SocNameByDefault) { EXPECT_STREQ(aclrtGetSocName(), "Ascend910B3"); }

}  // namespace
