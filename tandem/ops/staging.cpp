// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "tandem/exec/team.h"
#include "tandem/ops/single.h"

namespace tandem {
namespace {

// Element `index` of the outer axes: how many elements into the memory of `view` its row begins.
int64_t row_offset(const TensorView& view, int64_t index) {
  int64_t offset = 0;
  for (int axis = view.rank - 2; axis >= 0; --axis) {
    offset += index % view.dim(axis) * view.step(axis);
    index /= view.dim(axis);
  }
  return offset;
}

void copy_row(const char* from, int64_t from_step, char* to, int64_t to_step, int64_t count, size_t size) {
  if (from_step == 1 && to_step == 1) {
    std::memcpy(to, from, static_cast<size_t>(count) * size);
    return;
  }
  const int64_t bytes = static_cast<int64_t>(size);
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step * bytes, from + i * from_step * bytes, size);
}

}  // namespace

Expected<PerColumn> per_column(const TensorView& tensor, std::string_view name, Work& work) {
  const PerColumn column{tensor.data, tensor.dtype, tensor.elements() == 1};
  if (tensor.dtype != DType::i32) return column;
  const TensorView wide = scratch_matrix(work.lane, DType::f32, 1, tensor.elements());
  if (wide.data == nullptr) return no_scratch(name, "the offsets");
  work.kernels.reduce.cast({tensor.elements(), tensor.data, DType::i32, wide.data, DType::f32}, work.lane);
  return PerColumn{wide.data, DType::f32, column.single};
}

bool broadcasts(const TensorView& from, const TensorView& to) {
  if (from.rank > to.rank) return false;
  for (int axis = 1; axis <= from.rank; ++axis) {
    if (from.dim(-axis) != to.dim(-axis) && from.dim(-axis) != 1) return false;
  }
  return true;
}

TensorView spread(const TensorView& view, const TensorView& to) {
  TensorView wide = to;
  wide.data = view.data;
  wide.dtype = view.dtype;
  for (int axis = 1; axis <= to.rank; ++axis) {
    const bool repeated = axis > view.rank || view.dim(-axis) != to.dim(-axis);
    wide.stride[static_cast<size_t>(to.rank - axis)] = repeated ? 0 : view.step(-axis);
  }
  return wide;
}

TensorView dense_copy(const TensorView& view, Lane& lane) {
  if (view.contiguous()) return view;
  const TensorView dense = make_tensor(lane.scratch->take(view.bytes()), view.dtype, view.shape.data(), view.rank);
  if (dense.data != nullptr) copy_elements(view, dense, lane);
  return dense;
}

void copy_elements(const TensorView& from, const TensorView& to, Lane& lane) {
  if (from.elements() == 0) return;
  if (from.contiguous() && to.contiguous()) {
    std::memcpy(to.data, from.data, from.bytes());
    return;
  }
  const auto size = static_cast<size_t>(dtype_bits(from.dtype) / 8);
  const int64_t columns = from.rank == 0 ? 1 : from.dim(-1), rows = from.elements() / columns;
  lane.team->parallel_for(rows, grain_of(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto bytes = static_cast<int64_t>(size);
      copy_row(from.as<const char>() + row_offset(from, row) * bytes, from.step(-1),
               to.as<char>() + row_offset(to, row) * bytes, to.step(-1), columns, size);
    }
  });
}

bool Staging::stage(const Operand& row, TensorView& view) {
  if (!view.present() || row.layout != Layout::copied || view.contiguous()) return true;
  const TensorView dense = make_tensor(lane_.scratch->take(view.bytes()), view.dtype, view.shape.data(), view.rank);
  if (dense.data == nullptr) return false;
  if (is_read(row.role)) copy_elements(view, dense, lane_);
  if (is_output(row.role)) results_.emplace_back(dense, view);
  view = dense;
  return true;
}

void Staging::give_back() {
  for (const auto& [dense, strided] : results_) copy_elements(dense, strided, lane_);
}

}  // namespace tandem
