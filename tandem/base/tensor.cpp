// SPDX-License-Identifier: Apache-2.0
#include "tandem/base/tensor.h"

#include <fmt/format.h>

#include <cassert>
#include <utility>

namespace tandem {
namespace {

// Extents that no memory has are refused where they are checked; until then their product is the largest number.
int64_t times(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

}  // namespace

int64_t TensorView::elements() const {
  if (!present()) return 0;
  int64_t count = 1;
  for (int axis = 0; axis < rank; ++axis) count = times(count, dim(axis));
  return count;
}

bool TensorView::contiguous() const {
  int64_t expected = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    if (dim(axis) == 0) return true;
    if (dim(axis) != 1 && step(axis) != expected) return false;
    expected = times(expected, dim(axis));
  }
  return true;
}

int64_t TensorView::row_count() const {
  int64_t count = 1;
  for (int axis = 0; axis + 1 < rank; ++axis) count = times(count, dim(axis));
  return count;
}

TensorView TensorView::as_matrix() const {
  assert(contiguous());
  const int64_t columns = rank == 0 ? 1 : dim(-1);
  return make_tensor(data, dtype, {row_count(), columns});
}

TensorView TensorView::rows(int64_t first, int64_t count) const {
  assert(rank >= 1 && first >= 0 && count >= 0 && first + count <= dim(0));
  TensorView view = *this;
  view.shape[0] = count;
  const int64_t bit_offset = first * step(0) * dtype_bits(dtype);
  assert(bit_offset % 8 == 0);
  view.data = static_cast<char*>(data) + bit_offset / 8;
  return view;
}

TensorView TensorView::transposed() const {
  assert(rank >= 2);
  TensorView view = *this;
  std::swap(view.shape[rank - 1u], view.shape[rank - 2u]);
  std::swap(view.stride[rank - 1u], view.stride[rank - 2u]);
  return view;
}

bool TensorView::same_shape(const TensorView& other) const {
  if (rank != other.rank) return false;
  for (int axis = 0; axis < rank; ++axis) {
    if (dim(axis) != other.dim(axis)) return false;
  }
  return true;
}

std::string TensorView::describe() const {
  if (!present()) return "absent";
  std::string text = "[";
  for (int axis = 0; axis < rank; ++axis) text += fmt::format("{}{}", axis == 0 ? "" : ",", dim(axis));
  return text + "] " + std::string(dtype_name(dtype));
}

TensorView make_tensor(void* data, DType dtype, const int64_t* shape, int rank) {
  assert(rank >= 0 && rank <= TensorView::kMaxRank);
  TensorView view;
  view.data = data;
  view.dtype = dtype;
  view.rank = static_cast<uint8_t>(rank);
  int64_t step = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    view.shape[static_cast<size_t>(axis)] = shape[axis];
    view.stride[static_cast<size_t>(axis)] = step;
    step = times(step, shape[axis]);
  }
  return view;
}

TensorView make_tensor(void* data, DType dtype, std::initializer_list<int64_t> shape) {
  return make_tensor(data, dtype, shape.begin(), static_cast<int>(shape.size()));
}

}  // namespace tandem
