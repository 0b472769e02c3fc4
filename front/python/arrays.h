// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"

// Arrays of Python (buffers and DLPack) as views of their memory.
namespace tandem::python {

namespace nb = nanobind;

// Leaves C++ for Python: the module's translator makes the exception.
struct Raised {
  Error error;
};
[[noreturn]] inline void raise(ErrorCode code, std::string message) { throw Raised{{code, std::move(message)}}; }
inline void check(const Status& status) {
  if (!status) throw Raised{status.error()};
}
template <class T>
T check(Expected<T> value) {
  if (!value) throw Raised{value.error()};
  return std::move(*value);
}

// Memory that lives as long as this, and whether it may be written.
struct Array {
  TensorView view;
  nb::ndarray<nb::ro> held;
};

// An array's memory with another dtype, extents and strides (elements): what numpy has no dtype for.
struct View {
  nb::object array;
  nb::ndarray<nb::ro> held;  // its export: the memory can neither move nor go
  TensorView view;
  bool writable = false;
};
View make_view(nb::handle array, std::string_view dtype, const std::vector<int64_t>& shape,
               const std::vector<int64_t>& strides, int64_t offset);

// `object` as operand `name` of `call`. Throws TypeError where it is no array of the CPU, or may not be written.
Array array_of(nb::handle object, bool written, std::string_view call, std::string_view name);

}  // namespace tandem::python
