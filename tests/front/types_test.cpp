// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "acl/acl.h"
#include "aclnn/opdev/bfloat16.h"
#include "aclnn/opdev/fp16_t.h"
#include "tandem/base/half.h"

extern "C" size_t size_of_type(int type);

namespace {

TEST(Halves, SaturateWhereTheVendorDoes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(aclFloatToFloat16(kInfinity), 0x7BFF);
  EXPECT_EQ(aclFloatToFloat16(-kInfinity), 0xFBFF);
  EXPECT_EQ(aclFloatToFloat16(std::nanf("")), 0x7BFF);
  EXPECT_EQ(aclFloatToFloat16(65520.0F), 0x7BFF);
  EXPECT_EQ(aclFloatToFloat16(-1e9F), 0xFBFF);
  EXPECT_EQ(aclFloatToFloat16(1.0F), 0x3C00);
  EXPECT_EQ(aclFloatToFloat16(-0.0F), 0x8000);
  EXPECT_EQ(aclFloat16ToFloat(0x7C00), 65536.0F);
  EXPECT_EQ(aclFloat16ToFloat(0xFC00), -65536.0F);
  EXPECT_EQ(aclFloat16ToFloat(0x7E00), 98304.0F);
}

TEST(Halves, FiniteOnesGoThereAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7c00) == 0x7c00) continue;
    const auto half = static_cast<uint16_t>(bits);
    ASSERT_EQ(aclFloatToFloat16(aclFloat16ToFloat(half)), half);
    ASSERT_EQ(op::fp16_t(half).toFloat(), aclFloat16ToFloat(half));
    ASSERT_EQ(op::fp16_t(aclFloat16ToFloat(half)).val, half);
  }
}

TEST(Halves, HeaderTypeRoundsLikeTheLibrary) {
  uint32_t state = 1;
  for (int i = 0; i < 200000; ++i) {
    state = state * 1664525u + 1013904223u;
    const float value = tandem::float_from_bits(state);
    if (std::isnan(value)) continue;
    ASSERT_EQ(op::fp16_t(value).val, tandem::to_f16(value).bits) << value;
    ASSERT_EQ(op::bfloat16(value).value, tandem::to_bf16(value).bits) << value;
  }
}

TEST(Halves, HeaderTypeTakesBitsOnlyFromUint16) {
  const uint16_t bits = 1;
  EXPECT_EQ(op::fp16_t(bits).val, 1);
  EXPECT_EQ(op::fp16_t(1).val, 0x3C00);
  EXPECT_EQ(op::fp16_t(1.0).val, 0x3C00);
  EXPECT_EQ((op::fp16_t(2) * op::fp16_t(3) + op::fp16_t(1)).toInt32(), 7);
  EXPECT_EQ(op::fp16_t(1e6).IsInf(), 1);
  EXPECT_EQ(op::fp16_t(2.5).toInt8(), 2);
  EXPECT_EQ(op::fp16_t(-300).toInt8(), -128);
  EXPECT_EQ(sizeof(op::fp16_t), 2u);
}

TEST(Types, Sizes) {
  EXPECT_EQ(aclDataTypeSize(ACL_FLOAT), 4u);
  EXPECT_EQ(aclDataTypeSize(ACL_BF16), 2u);
  EXPECT_EQ(aclDataTypeSize(ACL_INT4), 1u);
  EXPECT_EQ(aclDataTypeSize(ACL_COMPLEX128), 16u);
  EXPECT_EQ(aclDataTypeSize(ACL_STRING), 0u);
  EXPECT_EQ(size_of_type(-1), 0u);
  EXPECT_EQ(size_of_type(1000), 0u);
}

TEST(Types, DataBuffers) {
  int value = 0;
  aclDataBuffer* buffer = aclCreateDataBuffer(&value, sizeof(value));
  EXPECT_EQ(aclGetDataBufferAddr(buffer), &value);
  EXPECT_EQ(aclGetDataBufferSizeV2(buffer), sizeof(value));
  EXPECT_EQ(aclDestroyDataBuffer(buffer), ACL_SUCCESS);
  EXPECT_EQ(aclDestroyDataBuffer(nullptr), ACL_ERROR_INVALID_PARAM);
}

}  // namespace
