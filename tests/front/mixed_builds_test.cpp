// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "acl/acl.h"
#include "hccl/hccl.h"
#include "tandem/version.h"

namespace {

void expect_refusal(int code, int wanted, const std::string& call) {
  EXPECT_EQ(code, wanted) << call;
  ASSERT_NE(aclGetRecentErrMsg(), nullptr) << call;
  const std::string text = aclGetRecentErrMsg();
  for (const std::string& part : {call, std::string(TANDEM_BUILD), std::string("99.0.1+other")}) {
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in '" << text << "'";
  }
}

// Every call that begins work: programs may use what they like of it first.
TEST(MixedBuilds, AreRefusedByBothNames) {
  aclrtContext context = nullptr;
  HcclComm comm = nullptr;
  HcclRootInfo info = {};
  expect_refusal(aclInit(nullptr), ACL_ERROR_INTERNAL_ERROR, "aclInit");
  expect_refusal(aclrtSetDevice(0), ACL_ERROR_INTERNAL_ERROR, "aclrtSetDevice");
  expect_refusal(aclrtCreateContext(&context, 0), ACL_ERROR_INTERNAL_ERROR, "aclrtCreateContext");
  expect_refusal(HcclCommInitAll(1, nullptr, &comm), HCCL_E_INTERNAL, "HcclCommInitAll");
  expect_refusal(HcclCommInitRootInfo(1, &info, 0, &comm), HCCL_E_INTERNAL, "HcclCommInitRootInfo");
}

}  // namespace
