// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "aclnn/acl_meta.h"
#include "tandem/base/tensor.h"

// The vendor's opaque objects. Enumerators are kept as plain numbers: callers may pass any value.
struct aclTensor {
  tandem::TensorView view;  // dtype none where this library has no such element type; data is where the view begins
  int type = ACL_DT_UNDEFINED;
  int format = ACL_FORMAT_ND;
  int64_t offset = 0;
  std::vector<int64_t> storage;
};

struct aclScalar {
  std::array<unsigned char, 16> value{};
  int type = ACL_DT_UNDEFINED;
};

template <class T>
struct ValueArray {
  std::vector<T> values;
};
struct aclIntArray : ValueArray<int64_t> {};
struct aclFloatArray : ValueArray<float> {};
struct aclBoolArray : ValueArray<unsigned char> {};
struct aclTensorList : ValueArray<const aclTensor*> {};
struct aclScalarList : ValueArray<const aclScalar*> {};

namespace tandem::front {

// The element type of a vendor number; none where there is no counterpart.
DType dtype_of(int acl_type);
// A layout of the vendor's own: the memory is not what dims and strides say.
bool private_format(int format);
// Bytes from the address a caller gives to the first element of the view.
int64_t byte_offset(const aclTensor& tensor);
// "[2,3] f16", or with the vendor's number of a type unknown here.
std::string describe(const aclTensor& tensor);

}  // namespace tandem::front
