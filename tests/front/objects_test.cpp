// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "aclnn/aclnn_base.h"
#include "aclnn/opdev/op_errno.h"

namespace {

using Dims = std::vector<int64_t>;

aclTensor* make(const Dims& dims, const int64_t* strides = nullptr, aclDataType type = ACL_FLOAT16, int64_t offset = 0,
                void* data = nullptr) {
  return aclCreateTensor(dims.data(), dims.size(), type, strides, offset, ACL_FORMAT_ND, dims.data(), dims.size(),
                         data);
}

Dims taken(int64_t* values, uint64_t count) {
  Dims copy(values, values + count);
  delete[] values;
  return copy;
}

TEST(Tensors, SayWhatTheyWereTold) {
  char memory[64];
  const Dims strides = {1, 2};
  aclTensor* tensor = make({2, 3}, strides.data(), ACL_BF16, 4, memory);
  ASSERT_NE(tensor, nullptr);
  int64_t* values = nullptr;
  uint64_t count = 0;
  ASSERT_EQ(aclGetViewShape(tensor, &values, &count), 0);
  EXPECT_EQ(taken(values, count), (Dims{2, 3}));
  ASSERT_EQ(aclGetViewStrides(tensor, &values, &count), 0);
  EXPECT_EQ(taken(values, count), strides);
  ASSERT_EQ(aclGetStorageShape(tensor, &values, &count), 0);
  EXPECT_EQ(taken(values, count), (Dims{2, 3}));
  int64_t offset = 0;
  aclDataType type = ACL_DT_UNDEFINED;
  aclFormat format = ACL_FORMAT_UNDEFINED;
  void* address = nullptr;
  EXPECT_EQ(aclGetViewOffset(tensor, &offset), 0);
  EXPECT_EQ(offset, 4);
  EXPECT_EQ(aclGetDataType(tensor, &type), 0);
  EXPECT_EQ(type, ACL_BF16);
  EXPECT_EQ(aclGetFormat(tensor, &format), 0);
  EXPECT_EQ(format, ACL_FORMAT_ND);
  EXPECT_EQ(aclGetRawTensorAddr(tensor, &address), 0);
  EXPECT_EQ(address, memory);
  EXPECT_EQ(aclSetRawTensorAddr(tensor, memory + 8), 0);
  EXPECT_EQ(aclGetRawTensorAddr(tensor, &address), 0);
  EXPECT_EQ(address, memory + 8);
  EXPECT_EQ(aclDestroyTensor(tensor), 0);
}

TEST(Tensors, NullStridesAreRowMajor) {
  aclTensor* tensor = make({2, 3, 4});
  int64_t* values = nullptr;
  uint64_t count = 0;
  ASSERT_EQ(aclGetViewStrides(tensor, &values, &count), 0);
  EXPECT_EQ(taken(values, count), (Dims{12, 4, 1}));
  const Dims other = {5};
  ASSERT_EQ(aclInitTensor(tensor, other.data(), 1, ACL_INT8, nullptr, 0, ACL_FORMAT_ND, other.data(), 1, nullptr), 0);
  ASSERT_EQ(aclGetViewShape(tensor, &values, &count), 0);
  EXPECT_EQ(taken(values, count), other);
  aclDestroyTensor(tensor);
}

TEST(Tensors, WrongDescriptionsGiveNull) {
  EXPECT_EQ(make({1, 1, 1, 1, 1, 1, 1, 1, 1}), nullptr);
  EXPECT_EQ(make({2, -1}), nullptr);
  EXPECT_EQ(make({INT64_MAX, INT64_MAX}), nullptr);
  EXPECT_EQ(make({INT64_MAX, 0}), nullptr);
  EXPECT_EQ(make({2}, nullptr, ACL_FLOAT, -1), nullptr);
  EXPECT_EQ(make({2}, nullptr, ACL_INT4, 1), nullptr);
  EXPECT_EQ(aclCreateTensor(nullptr, 2, ACL_FLOAT, nullptr, 0, ACL_FORMAT_ND, nullptr, 0, nullptr), nullptr);
  EXPECT_EQ(aclCreateTensor(nullptr, UINT64_MAX, ACL_FLOAT, nullptr, 0, ACL_FORMAT_ND, nullptr, 0, nullptr), nullptr);
}

TEST(Objects, NullIsNoErrorToDestroy) {
  EXPECT_EQ(aclDestroyTensor(nullptr), 0);
  EXPECT_EQ(aclDestroyScalar(nullptr), 0);
  EXPECT_EQ(aclDestroyIntArray(nullptr), 0);
  EXPECT_EQ(aclDestroyFloatArray(nullptr), 0);
  EXPECT_EQ(aclDestroyBoolArray(nullptr), 0);
  EXPECT_EQ(aclDestroyTensorList(nullptr), 0);
  EXPECT_EQ(aclDestroyScalarList(nullptr), 0);
  EXPECT_EQ(aclDestroyAclOpExecutor(nullptr), 0);
  int64_t* values = nullptr;
  uint64_t count = 0;
  EXPECT_EQ(aclGetViewShape(nullptr, &values, &count), ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_EQ(aclGetIntArraySize(nullptr, &count), ACLNN_ERR_PARAM_NULLPTR);
}

// A list owns its elements: leaks or double frees show under the address sanitizer.
TEST(Objects, ListsOwnTheirElements) {
  const aclTensor* tensors[] = {make({1}), make({2})};
  aclTensorList* list = aclCreateTensorList(tensors, 2);
  uint64_t count = 0;
  EXPECT_EQ(aclGetTensorListSize(list, &count), 0);
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(aclDestroyTensorList(list), 0);
  float value = 1;
  const aclScalar* scalars[] = {aclCreateScalar(&value, ACL_FLOAT)};
  aclScalarList* scalar_list = aclCreateScalarList(scalars, 1);
  EXPECT_EQ(aclGetScalarListSize(scalar_list, &count), 0);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(aclDestroyScalarList(scalar_list), 0);
  const int64_t numbers[] = {1, 2, 3};
  aclIntArray* array = aclCreateIntArray(numbers, 3);
  EXPECT_EQ(aclGetIntArraySize(array, &count), 0);
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(aclDestroyIntArray(array), 0);
  EXPECT_EQ(aclCreateIntArray(nullptr, 3), nullptr);
}

}  // namespace
