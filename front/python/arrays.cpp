// SPDX-License-Identifier: Apache-2.0
#include "front/python/arrays.h"

#include <fmt/format.h>

#include <algorithm>

namespace tandem::python {
namespace {

using Code = nb::dlpack::dtype_code;

DType dtype_of(nb::dlpack::dtype type) {
  if (type.lanes != 1) return DType::none;
  const bool whole = type.bits == 8 || type.bits == 16 || type.bits == 32 || type.bits == 64;
  switch (static_cast<Code>(type.code)) {
    case Code::Float:
      return type.bits == 16 ? DType::f16 : type.bits == 32 ? DType::f32 : type.bits == 64 ? DType::f64 : DType::none;
    case Code::Bfloat: return type.bits == 16 ? DType::bf16 : DType::none;
    case Code::Bool: return type.bits == 8 ? DType::u8 : DType::none;
    case Code::Int: return whole ? dtype_from_name(fmt::format("i{}", type.bits)) : DType::none;
    case Code::UInt: return whole ? dtype_from_name(fmt::format("u{}", type.bits)) : DType::none;
    default: return DType::none;
  }
}

[[noreturn]] void no_array(std::string_view call, std::string_view name, nb::handle object, std::string_view wanted) {
  const std::string type = nb::str(object.type().attr("__name__")).c_str();
  throw nb::type_error(fmt::format("{}: {} is a {}, {} wanted", call, name, type, wanted).c_str());
}

template <class Nd>
TensorView view_of(const Nd& array, std::string_view call, std::string_view name, nb::handle object) {
  TensorView view;
  view.data = const_cast<void*>(static_cast<const void*>(array.data()));
  view.dtype = dtype_of(array.dtype());
  if (view.dtype == DType::none) no_array(call, name, object, "a dtype of tandem.DTYPES");
  if (array.ndim() > TensorView::kMaxRank) {
    raise(ErrorCode::invalid_argument,
          fmt::format("{}: {} has {} dimensions, at most {} wanted", call, name, array.ndim(), TensorView::kMaxRank));
  }
  view.rank = static_cast<uint8_t>(array.ndim());
  for (size_t axis = 0; axis < array.ndim(); ++axis) {
    view.shape[axis] = static_cast<int64_t>(array.shape(axis));
    view.stride[axis] = array.stride(axis);
  }
  return view;
}

// Elements from the first to behind the last one; below 0 where extents make no sense.
int64_t extent_of(const TensorView& view) {
  constexpr int64_t kMost = int64_t{1} << 48;
  int64_t last = 0;
  bool sane = true, empty = false;
  for (size_t axis = 0; axis < view.rank; ++axis) {
    const int64_t dim = view.shape[axis], step = view.stride[axis];
    sane = sane && dim >= 0 && dim < kMost && step >= 0 && step < kMost && (dim < 2 || step < kMost / dim);
    empty = empty || dim == 0;
    if (sane && dim > 0) last += (dim - 1) * step;
    sane = sane && last < kMost;
  }
  return !sane ? -1 : empty ? 0 : last + 1;
}

}  // namespace

Array array_of(nb::handle object, bool written, std::string_view call, std::string_view name) {
  Array result;
  View* view = nullptr;
  if (nb::try_cast<View*>(object, view, false) && view != nullptr) {
    if (written && !view->writable) no_array(call, name, object, "memory that may be written");
    result.view = view->view;
    result.held = view->held;
    return result;
  }
  if (written) {
    nb::ndarray<> array;
    if (!nb::try_cast(object, array, false)) no_array(call, name, object, "an array of the CPU that may be written");
    result.held = nb::ndarray<nb::ro>(array);
  } else if (!nb::try_cast(object, result.held, false)) {
    no_array(call, name, object, "an array (buffer protocol or DLPack) of the CPU");
  }
  if (result.held.device_type() != nb::device::cpu::value) no_array(call, name, object, "an array of the CPU");
  result.view = view_of(result.held, call, name, object);
  return result;
}

View make_view(nb::handle array, std::string_view dtype, const std::vector<int64_t>& shape,
               const std::vector<int64_t>& strides, int64_t offset) {
  const Array given = array_of(array, false, "view", "array");
  const DType type = dtype_from_name(dtype);
  const auto wrong = [](std::string text) { raise(ErrorCode::invalid_argument, "view: " + text); };
  if (type == DType::none) wrong(fmt::format("dtype is {}, a name of tandem.DTYPES wanted", dtype));
  if (!given.view.contiguous()) wrong("array has gaps, a contiguous one wanted");
  const bool ranks = shape.size() <= TensorView::kMaxRank && (strides.empty() || strides.size() == shape.size());
  if (!ranks) wrong("shape and strides do not fit, as many strides as dimensions (at most 8) wanted");
  View made{nb::borrow(array), given.held,
            make_tensor(given.view.data, type, shape.data(), static_cast<int>(shape.size())), false};
  std::ranges::copy(strides, made.view.stride.begin());
  const int64_t extent = extent_of(made.view);
  const auto bits = static_cast<int64_t>(given.view.bytes()) * 8 / dtype_bits(type);
  if (extent < 0 || offset < 0 || offset > bits || extent > bits - offset || offset * dtype_bits(type) % 8 != 0) {
    wrong(fmt::format("{} elements of {} from {} on, at most {} wanted (the array's memory)", extent, dtype, offset,
                      bits));
  }
  made.view.data = static_cast<char*>(given.view.data) + offset * dtype_bits(type) / 8;
  nb::ndarray<> writable;
  made.writable = nb::try_cast(array, writable, false);
  return made;
}

}  // namespace tandem::python
