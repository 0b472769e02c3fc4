// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "tandem/base/dtype.h"

#pragma GCC visibility push(default)
namespace tandem {

// A view of memory the caller owns. Strides are in elements (for i4 in nibbles). A view with dtype none is absent.
struct TensorView {
  static constexpr int kMaxRank = 8;
  void* data = nullptr;
  DType dtype = DType::none;
  uint8_t rank = 0;
  std::array<int64_t, kMaxRank> shape{};
  std::array<int64_t, kMaxRank> stride{};

  bool present() const { return dtype != DType::none; }
  int64_t dim(int axis) const { return shape[static_cast<size_t>(axis < 0 ? axis + rank : axis)]; }
  int64_t step(int axis) const { return stride[static_cast<size_t>(axis < 0 ? axis + rank : axis)]; }
  int64_t elements() const;
  size_t bytes() const { return dtype_bytes(dtype, elements()); }
  // Row-major without gaps; axes of size 1 do not count.
  bool contiguous() const;
  // All leading axes flattened into rows: [.., n] -> [rows, n]. Needs a contiguous view.
  TensorView as_matrix() const;
  // Rows [first, first + count) of the first axis.
  TensorView rows(int64_t first, int64_t count) const;
  // The last two axes swapped; no memory moves.
  TensorView transposed() const;
  // Rows of as_matrix(): the product of all axes but the last.
  int64_t row_count() const;
  bool same_shape(const TensorView& other) const;
  // "[4,512] f16", or "absent".
  std::string describe() const;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// A contiguous row-major view.
TensorView make_tensor(void* data, DType dtype, std::initializer_list<int64_t> shape);
TensorView make_tensor(void* data, DType dtype, const int64_t* shape, int rank);

}  // namespace tandem
#pragma GCC visibility pop
