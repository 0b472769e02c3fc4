// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "tandem/base/tensor.h"

// Other views of the same memory.
namespace tandem::atbfront {

// `count` entries of dimension `axis` from `first` on.
inline TensorView part_of(TensorView view, int axis, int64_t first, int64_t count) {
  const auto at = static_cast<size_t>(axis);
  const int64_t bytes = first * view.stride[at] * dtype_bits(view.dtype) / 8;
  if (view.data != nullptr) view.data = static_cast<char*>(view.data) + bytes;
  view.shape[at] = count;
  return view;
}

// Dimension i is dimension order[i] of `view`.
inline TensorView permuted(const TensorView& view, std::span<const int> order) {
  TensorView turned = view;
  for (size_t i = 0; i < order.size(); ++i) {
    turned.shape[i] = view.shape[static_cast<size_t>(order[i])];
    turned.stride[i] = view.stride[static_cast<size_t>(order[i])];
  }
  return turned;
}

// The same dense elements with other dimensions.
inline TensorView reshaped(const TensorView& view, std::initializer_list<int64_t> shape) {
  return make_tensor(view.data, view.dtype, shape);
}

// Any shape and strides over the memory of `view`.
inline TensorView strided(const TensorView& view, std::initializer_list<int64_t> shape,
                          std::initializer_list<int64_t> strides) {
  TensorView made = make_tensor(view.data, view.dtype, shape);
  std::copy(strides.begin(), strides.end(), made.stride.begin());
  return made;
}

// (1, .., n) as (n).
inline TensorView without_ones(TensorView view) {
  while (view.rank > 1 && view.shape[0] == 1) {
    --view.rank;
    for (size_t axis = 0; axis < view.rank; ++axis) {
      view.shape[axis] = view.shape[axis + 1];
      view.stride[axis] = view.stride[axis + 1];
    }
  }
  return view;
}

}  // namespace tandem::atbfront
