// SPDX-License-Identifier: Apache-2.0
#include "front/aclnn/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "aclnn/opdev/op_errno.h"
#include "front/aclnn/status.h"

namespace tandem::front {
namespace {

template <class Enum>
int number_of(const Enum& value) {
  int number = 0;
  static_assert(sizeof(value) == sizeof(number));
  std::memcpy(&number, &value, sizeof(number));
  return number;
}

// What a caller says about a tensor.
struct Description {
  const int64_t* dims;
  uint64_t count;
  const int64_t* strides;
  int64_t offset;
  const int64_t* storage;
  uint64_t storage_count;
  void* data;
};

constexpr uint64_t kMostStorageDims = 25;

// Extents whose product, in bits, still fits: everything later may multiply without looking.
bool sensible(const int64_t* dims, uint64_t count) {
  constexpr int64_t kMostElements = INT64_MAX / 128;
  int64_t product = 1;
  for (uint64_t axis = 0; axis < count; ++axis) {
    if (dims[axis] < 0) return false;
    if (dims[axis] != 0 && product > kMostElements / dims[axis]) return false;
    product *= std::max<int64_t>(dims[axis], 1);
  }
  return true;
}

std::string_view fault_of(const Description& said) {
  if (said.count > TensorView::kMaxRank) return "viewDimsNum above 8, at most 8 dimensions wanted";
  if (said.count > 0 && said.dims == nullptr) return "viewDims is null, dimensions wanted";
  if (!sensible(said.dims, said.count)) return "viewDims negative or too large, extents of a real tensor wanted";
  if (said.storage_count > kMostStorageDims) return "storageDimsNum above 25, at most 25 wanted";
  if (said.storage_count > 0 && said.storage == nullptr) return "storageDims is null, dimensions wanted";
  if (!sensible(said.storage, said.storage_count)) return "storageDims negative or too large, extents wanted";
  constexpr int64_t kMostOffset = INT64_MAX / 64;
  if (said.offset < 0 || said.offset > kMostOffset)
    return "offset negative or too large, a place in the storage wanted";
  return {};
}

void set_data(aclTensor& tensor, void* base) {
  tensor.view.data = base == nullptr ? nullptr : static_cast<char*>(base) + byte_offset(tensor);
}

// False, with a message, when the description is not one of a tensor.
bool describe_into(aclTensor& tensor, const Description& said, int type, int format) {
  const auto fault = fault_of(said);
  if (!fault.empty()) {
    report(ACLNN_ERR_PARAM_INVALID, kOperatorMark, fmt::format("aclCreateTensor: {}", fault));
    return false;
  }
  tensor.type = type;
  tensor.format = format;
  tensor.offset = said.offset;
  tensor.storage.assign(said.storage, said.storage + said.storage_count);
  tensor.view = make_tensor(nullptr, dtype_of(type), said.dims, static_cast<int>(said.count));
  if (said.strides != nullptr) std::copy_n(said.strides, said.count, tensor.view.stride.begin());
  if (said.offset * dtype_bits(tensor.view.dtype) % 8 != 0) {
    report(ACLNN_ERR_PARAM_INVALID, kOperatorMark,
           "aclCreateTensor: offset in the middle of a byte, an even one wanted");
    return false;
  }
  set_data(tensor, said.data);
  return true;
}

aclnnStatus null_argument(std::string_view call) {
  return report(ACLNN_ERR_PARAM_NULLPTR, kOperatorMark,
                fmt::format("{}: a null pointer, an object and places wanted", call));
}

aclnnStatus copy_out(std::string_view call, const int64_t* from, uint64_t count, int64_t** values, uint64_t* number) {
  if (from == nullptr || values == nullptr || number == nullptr) return null_argument(call);
  auto* copy = new int64_t[count];
  std::copy_n(from, count, copy);
  *values = copy;
  *number = count;
  return ACLNN_SUCCESS;
}

template <class Array, class T>
Array* make_array(const T* values, uint64_t size) {
  if (values == nullptr && size > 0) {
    null_argument("aclCreate..Array");
    return nullptr;
  }
  auto made = std::make_unique<Array>();
  made->values.assign(values, values + size);
  return made.release();
}

template <class Array>
aclnnStatus size_of(const Array* array, uint64_t* size) {
  if (array == nullptr || size == nullptr) return null_argument("aclGet..Size");
  *size = array->values.size();
  return ACLNN_SUCCESS;
}

// For functions that return an object: null when memory was refused.
template <class Function>
auto made(Function&& body) noexcept -> decltype(body()) {
  decltype(body()) object = nullptr;
  aclnn_call([&] {
    object = body();
    return ACLNN_SUCCESS;
  });
  return object;
}

}  // namespace

bool private_format(int format) {
  constexpr std::array kPrivate = {ACL_FORMAT_NC1HWC0,          ACL_FORMAT_FRACTAL_Z,        ACL_FORMAT_NC1HWC0_C04,
                                   ACL_FORMAT_FRACTAL_NZ,       ACL_FORMAT_NDC1HWC0,         ACL_FRACTAL_Z_3D,
                                   ACL_FORMAT_FRACTAL_NZ_C0_16, ACL_FORMAT_FRACTAL_NZ_C0_32, ACL_FORMAT_FRACTAL_NZ_C0_2,
                                   ACL_FORMAT_FRACTAL_NZ_C0_4,  ACL_FORMAT_FRACTAL_NZ_C0_8};
  return std::find(kPrivate.begin(), kPrivate.end(), format) != kPrivate.end();
}

DType dtype_of(int acl_type) {
  switch (acl_type) {
    case ACL_FLOAT: return DType::f32;
    case ACL_FLOAT16: return DType::f16;
    case ACL_BF16: return DType::bf16;
    case ACL_DOUBLE: return DType::f64;
    case ACL_INT4: return DType::i4;
    case ACL_INT8: return DType::i8;
    case ACL_BOOL:
    case ACL_UINT8: return DType::u8;
    case ACL_INT16: return DType::i16;
    case ACL_UINT16: return DType::u16;
    case ACL_INT32: return DType::i32;
    case ACL_UINT32: return DType::u32;
    case ACL_INT64: return DType::i64;
    case ACL_UINT64: return DType::u64;
    default: return DType::none;
  }
}

int64_t byte_offset(const aclTensor& tensor) {
  const int bits = tensor.view.present() ? dtype_bits(tensor.view.dtype)
                                         : 8 * static_cast<int>(aclDataTypeSize(static_cast<aclDataType>(tensor.type)));
  return tensor.offset * bits / 8;
}

std::string describe(const aclTensor& tensor) {
  if (tensor.view.present()) return tensor.view.describe();
  TensorView shape = tensor.view;
  shape.dtype = DType::u8;
  const std::string text = shape.describe();
  return text.substr(0, text.rfind(' ')) + fmt::format(" of vendor type {}", tensor.type);
}

}  // namespace tandem::front

namespace front = tandem::front;
using front::aclnn_call;

extern "C" {

aclTensor* aclCreateTensor(const int64_t* viewDims, uint64_t viewDimsNum, aclDataType dataType, const int64_t* stride,
                           int64_t offset, aclFormat format, const int64_t* storageDims, uint64_t storageDimsNum,
                           void* tensorData) {
  return front::made([&]() -> aclTensor* {
    auto tensor = std::make_unique<aclTensor>();
    const front::Description said{viewDims, viewDimsNum, stride, offset, storageDims, storageDimsNum, tensorData};
    const bool good = front::describe_into(*tensor, said, front::number_of(dataType), front::number_of(format));
    return good ? tensor.release() : nullptr;
  });
}

aclnnStatus aclInitTensor(aclTensor* tensor, const int64_t* viewDims, uint64_t viewDimsNum, aclDataType dataType,
                          const int64_t* stride, int64_t offset, aclFormat format, const int64_t* storageDims,
                          uint64_t storageDimsNum, void* tensorData) {
  return aclnn_call([&]() -> aclnnStatus {
    if (tensor == nullptr) return front::null_argument("aclInitTensor");
    aclTensor fresh;
    const front::Description said{viewDims, viewDimsNum, stride, offset, storageDims, storageDimsNum, tensorData};
    const bool good = front::describe_into(fresh, said, front::number_of(dataType), front::number_of(format));
    if (!good) return ACLNN_ERR_PARAM_INVALID;
    *tensor = std::move(fresh);
    return ACLNN_SUCCESS;
  });
}

aclScalar* aclCreateScalar(void* value, aclDataType dataType) {
  return front::made([&]() -> aclScalar* {
    const size_t size = aclDataTypeSize(dataType);
    if (value == nullptr || size == 0) {
      front::null_argument("aclCreateScalar");
      return nullptr;
    }
    auto scalar = std::make_unique<aclScalar>();
    std::memcpy(scalar->value.data(), value, size);
    scalar->type = front::number_of(dataType);
    return scalar.release();
  });
}

aclIntArray* aclCreateIntArray(const int64_t* value, uint64_t size) {
  return front::made([&] { return front::make_array<aclIntArray>(value, size); });
}

aclFloatArray* aclCreateFloatArray(const float* value, uint64_t size) {
  return front::made([&] { return front::make_array<aclFloatArray>(value, size); });
}

aclBoolArray* aclCreateBoolArray(const bool* value, uint64_t size) {
  return front::made([&] { return front::make_array<aclBoolArray>(value, size); });
}

aclTensorList* aclCreateTensorList(const aclTensor* const* value, uint64_t size) {
  return front::made([&] { return front::make_array<aclTensorList>(value, size); });
}

aclScalarList* aclCreateScalarList(const aclScalar* const* value, uint64_t size) {
  return front::made([&] { return front::make_array<aclScalarList>(value, size); });
}

aclnnStatus aclDestroyTensor(const aclTensor* tensor) {
  delete tensor;
  return ACLNN_SUCCESS;
}

aclnnStatus aclDestroyScalar(const aclScalar* scalar) {
  delete scalar;
  return ACLNN_SUCCESS;
}

aclnnStatus aclDestroyIntArray(const aclIntArray* intArray) {
  delete intArray;
  return ACLNN_SUCCESS;
}

aclnnStatus aclDestroyFloatArray(const aclFloatArray* floatArray) {
  delete floatArray;
  return ACLNN_SUCCESS;
}

aclnnStatus aclDestroyBoolArray(const aclBoolArray* boolArray) {
  delete boolArray;
  return ACLNN_SUCCESS;
}

aclnnStatus aclDestroyTensorList(const aclTensorList* tensorList) {
  if (tensorList == nullptr) return ACLNN_SUCCESS;
  for (const aclTensor* tensor : tensorList->values) delete tensor;
  delete tensorList;
  return ACLNN_SUCCESS;
}

aclnnStatus aclDestroyScalarList(const aclScalarList* scalarList) {
  if (scalarList == nullptr) return ACLNN_SUCCESS;
  for (const aclScalar* scalar : scalarList->values) delete scalar;
  delete scalarList;
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetViewShape(const aclTensor* tensor, int64_t** viewDims, uint64_t* viewDimsNum) {
  return aclnn_call([&] {
    return front::copy_out("aclGetViewShape", tensor == nullptr ? nullptr : tensor->view.shape.data(),
                           tensor == nullptr ? 0 : tensor->view.rank, viewDims, viewDimsNum);
  });
}

aclnnStatus aclGetViewStrides(const aclTensor* tensor, int64_t** strides, uint64_t* stridesNum) {
  return aclnn_call([&] {
    return front::copy_out("aclGetViewStrides", tensor == nullptr ? nullptr : tensor->view.stride.data(),
                           tensor == nullptr ? 0 : tensor->view.rank, strides, stridesNum);
  });
}

aclnnStatus aclGetStorageShape(const aclTensor* tensor, int64_t** storageDims, uint64_t* storageDimsNum) {
  return aclnn_call([&]() -> aclnnStatus {
    if (tensor == nullptr) return front::null_argument("aclGetStorageShape");
    static constexpr int64_t kNone = 0;
    const int64_t* dims = tensor->storage.empty() ? &kNone : tensor->storage.data();
    return front::copy_out("aclGetStorageShape", dims, tensor->storage.size(), storageDims, storageDimsNum);
  });
}

aclnnStatus aclGetViewOffset(const aclTensor* tensor, int64_t* offset) {
  if (tensor == nullptr || offset == nullptr) return front::null_argument("aclGetViewOffset");
  *offset = tensor->offset;
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetFormat(const aclTensor* tensor, aclFormat* format) {
  if (tensor == nullptr || format == nullptr) return front::null_argument("aclGetFormat");
  std::memcpy(format, &tensor->format, sizeof(*format));
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetDataType(const aclTensor* tensor, aclDataType* dataType) {
  if (tensor == nullptr || dataType == nullptr) return front::null_argument("aclGetDataType");
  std::memcpy(dataType, &tensor->type, sizeof(*dataType));
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetIntArraySize(const aclIntArray* intArray, uint64_t* size) { return front::size_of(intArray, size); }

aclnnStatus aclGetFloatArraySize(const aclFloatArray* floatArray, uint64_t* size) {
  return front::size_of(floatArray, size);
}

aclnnStatus aclGetBoolArraySize(const aclBoolArray* boolArray, uint64_t* size) {
  return front::size_of(boolArray, size);
}

aclnnStatus aclGetTensorListSize(const aclTensorList* tensorList, uint64_t* size) {
  return front::size_of(tensorList, size);
}

aclnnStatus aclGetScalarListSize(const aclScalarList* scalarList, uint64_t* size) {
  return front::size_of(scalarList, size);
}

aclnnStatus aclSetRawTensorAddr(aclTensor* tensor, void* addr) {
  if (tensor == nullptr) return front::null_argument("aclSetRawTensorAddr");
  front::set_data(*tensor, addr);
  return ACLNN_SUCCESS;
}

aclnnStatus aclGetRawTensorAddr(const aclTensor* tensor, void** addr) {
  if (tensor == nullptr || addr == nullptr) return front::null_argument("aclGetRawTensorAddr");
  *addr = tensor->view.data == nullptr ? nullptr : static_cast<char*>(tensor->view.data) - front::byte_offset(*tensor);
  return ACLNN_SUCCESS;
}

}  // extern "C"
