// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "front/atb/outcome.h"
#include "tandem/base/tensor.h"

namespace tandem::atbfront {

using Descs = atb::SVector<atb::TensorDesc>;

// Bytes and elements; 0 where nobody can say, or where the number overflows.
uint64_t element_bytes(int acl_type);
uint64_t count_of(const atb::TensorDesc& desc);
uint64_t bytes_of(const atb::TensorDesc& desc);

// A description any program may have written: at most 8 dimensions, none negative, a size that fits.
bool sound(const atb::TensorDesc& desc);
// No tensor where an operation may do without.
inline bool is_empty(const atb::TensorDesc& desc) { return desc.shape.dimNum == 0; }

// Dense; absent without dimensions or with an element type unknown here. `desc` is sound.
TensorView view_of(const atb::TensorDesc& desc, void* data);
std::string describe(const atb::TensorDesc& desc);

atb::TensorDesc desc_of(aclDataType dtype, aclFormat format, std::initializer_list<int64_t> dims);
inline int64_t dim(const atb::TensorDesc& desc, size_t axis) { return desc.shape.dims[axis]; }
inline int64_t last_dim(const atb::TensorDesc& desc) { return desc.shape.dims[desc.shape.dimNum - 1]; }
bool same_shape(const atb::TensorDesc& left, const atb::TensorDesc& right);
// `desc` with another last dimension.
atb::TensorDesc with_last(atb::TensorDesc desc, int64_t last);

// Checks of descriptions; the first that fails is the outcome and later ones do nothing.
class Wanted {
 public:
  explicit Wanted(const Descs& descs) : descs_(descs) {}

  // One of these element types.
  Wanted& dtype(size_t index, std::string_view name, std::initializer_list<aclDataType> types,
                int code = atb::ERROR_INVALID_TENSOR_INI_MATCH);
  Wanted& rank(size_t index, std::string_view name, uint64_t low, uint64_t high);
  Wanted& dim(size_t index, std::string_view name, size_t axis, int64_t wanted);
  Wanted& shape(size_t index, std::string_view name, const atb::TensorDesc& wanted);
  template <class... Args>
  Wanted& that(bool holds, int code, fmt::format_string<Args...> format, Args&&... args) {
    if (outcome_ && !holds) outcome_ = refuse(code, format, std::forward<Args>(args)...);
    return *this;
  }
  bool failed() const { return !outcome_; }
  const Outcome<>& outcome() const { return outcome_; }

 private:
  const Descs& descs_;
  Outcome<> outcome_;
};

}  // namespace tandem::atbfront
