// SPDX-License-Identifier: Apache-2.0
#include "front/atb/tensors.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "acl/acl.h"
#include "front/aclnn/objects.h"

namespace tandem::atbfront {
namespace {

constexpr uint64_t kMost = uint64_t{1} << 56;  // elements and bytes: products of two sizes still fit

std::vector<int64_t> dims_of(const atb::TensorDesc& desc) {
  const auto count = std::min<uint64_t>(desc.shape.dimNum, atb::MAX_DIM);
  return {desc.shape.dims, desc.shape.dims + count};
}

}  // namespace

uint64_t element_bytes(int acl_type) {
  constexpr int kStringBytes = 16;
  switch (acl_type) {
    case ACL_DT_UNDEFINED: return 1;
    case ACL_INT4: return 0;
    case ACL_STRING: return kStringBytes;
    default: return aclDataTypeSize(static_cast<aclDataType>(acl_type));
  }
}

uint64_t count_of(const atb::TensorDesc& desc) {
  if (desc.shape.dimNum == 0 || desc.shape.dimNum > atb::MAX_DIM) return 0;
  uint64_t count = 1;
  for (uint64_t axis = 0; axis < desc.shape.dimNum; ++axis) {
    const int64_t size = desc.shape.dims[axis];
    if (size < 0 || (size > 0 && count > kMost / static_cast<uint64_t>(size))) return 0;
    count *= static_cast<uint64_t>(size);
  }
  return count;
}

uint64_t bytes_of(const atb::TensorDesc& desc) {
  const uint64_t count = count_of(desc), bytes = element_bytes(desc.dtype);
  return bytes == 0 || count > kMost / bytes ? 0 : count * bytes;
}

bool sound(const atb::TensorDesc& desc) {
  if (desc.shape.dimNum > atb::MAX_DIM) return false;
  uint64_t count = 1;
  for (uint64_t axis = 0; axis < desc.shape.dimNum; ++axis) {
    const int64_t size = desc.shape.dims[axis];
    // Extents of 0 count as 1: strides are products of all that follow.
    if (size < 0 || (size > 0 && count > kMost / 16 / static_cast<uint64_t>(size))) return false;
    count *= static_cast<uint64_t>(std::max<int64_t>(size, 1));
  }
  return true;
}

TensorView view_of(const atb::TensorDesc& desc, void* data) {
  if (is_empty(desc)) return {};
  return make_tensor(data, front::dtype_of(desc.dtype), desc.shape.dims, static_cast<int>(desc.shape.dimNum));
}

std::string describe(const atb::TensorDesc& desc) {
  const DType known = front::dtype_of(desc.dtype);
  const std::string type =
      known == DType::none ? fmt::format("of type {}", static_cast<int>(desc.dtype)) : std::string(dtype_name(known));
  return fmt::format("[{}] {}", fmt::join(dims_of(desc), ","), type);
}

atb::TensorDesc desc_of(aclDataType dtype, aclFormat format, std::initializer_list<int64_t> dims) {
  atb::TensorDesc desc;
  desc.dtype = dtype;
  desc.format = format;
  desc.shape.dimNum = dims.size();
  std::copy(dims.begin(), dims.end(), desc.shape.dims);
  return desc;
}

bool same_shape(const atb::TensorDesc& left, const atb::TensorDesc& right) { return dims_of(left) == dims_of(right); }

atb::TensorDesc with_last(atb::TensorDesc desc, int64_t last) {
  desc.shape.dims[desc.shape.dimNum - 1] = last;
  return desc;
}

Wanted& Wanted::dtype(size_t index, std::string_view name, std::initializer_list<aclDataType> types, int code) {
  if (failed()) return *this;
  const atb::TensorDesc& given = descs_[index];
  std::string wanted;
  for (const aclDataType type : types)
    wanted += (wanted.empty() ? "" : ", ") + std::string(dtype_name(front::dtype_of(type)));
  return that(std::find(types.begin(), types.end(), given.dtype) != types.end(), code, "{} is {}, {} wanted", name,
              describe(given), wanted);
}

Wanted& Wanted::rank(size_t index, std::string_view name, uint64_t low, uint64_t high) {
  if (failed()) return *this;
  const atb::TensorDesc& given = descs_[index];
  const uint64_t dims = given.shape.dimNum;
  const std::string wanted = low == high ? fmt::format("{}", low) : fmt::format("{} to {}", low, high);
  return that(dims >= low && dims <= high, atb::ERROR_INVALID_TENSOR_DIM_NUM, "{} is {}, {} dimensions wanted", name,
              describe(given), wanted);
}

Wanted& Wanted::dim(size_t index, std::string_view name, size_t axis, int64_t wanted) {
  if (failed()) return *this;
  const atb::TensorDesc& given = descs_[index];
  return that(axis < given.shape.dimNum && given.shape.dims[axis] == wanted, atb::ERROR_INVALID_TENSOR_DIM,
              "{} is {}, {} wanted as its dimension {}", name, describe(given), wanted, axis);
}

Wanted& Wanted::shape(size_t index, std::string_view name, const atb::TensorDesc& wanted) {
  if (failed()) return *this;
  const atb::TensorDesc& given = descs_[index];
  if (given.shape.dimNum != wanted.shape.dimNum) return rank(index, name, wanted.shape.dimNum, wanted.shape.dimNum);
  return that(same_shape(given, wanted), atb::ERROR_INVALID_TENSOR_DIM, "{} is {}, [{}] wanted", name, describe(given),
              fmt::join(dims_of(wanted), ","));
}

}  // namespace tandem::atbfront
