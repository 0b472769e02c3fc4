// SPDX-License-Identifier: Apache-2.0
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "front/python/call.h"
#include "tandem/exec/device.h"
#include "tandem/version.h"

namespace tandem::python {
namespace {

int vendor_code(ErrorCode code) {
  return code == ErrorCode::null_argument ? 161001 : code == ErrorCode::invalid_argument ? 161002 : 361001;
}

// tandem._errors makes the exception: it knows the classes and takes the message apart. Where that is interrupted (by a
// signal) or fails, its own exception is the one that is raised.
void set_error(const Error& error) {
  try {
    const nb::object made =
        nb::module_::import_("tandem._errors")
            .attr("make")(nb::str(error_code_name(error.code).data()), vendor_code(error.code), error.message);
    PyErr_SetObject(made.type().ptr(), made.ptr());
  } catch (nb::python_error& python) {
    python.restore();
  }
}

void translate(const std::exception_ptr& pointer, void*) {
  try {
    std::rethrow_exception(pointer);
  } catch (const Raised& raised) {
    set_error(raised.error);
  }
}

std::vector<int64_t> extents_of(const View& view, bool strides) {
  const auto& from = strides ? view.view.stride : view.view.shape;
  return {from.begin(), from.begin() + view.view.rank};
}

void add_view(nb::module_& module) {
  nb::class_<View>(module, "View")
      .def_ro("array", &View::array)
      .def_prop_ro("dtype", [](const View& self) { return dtype_name(self.view.dtype); })
      .def_prop_ro("shape", [](const View& self) { return nb::tuple(nb::cast(extents_of(self, false))); })
      .def_prop_ro("strides", [](const View& self) { return nb::tuple(nb::cast(extents_of(self, true))); })
      .def("__repr__", [](const View& self) { return "View(" + self.view.describe() + ")"; });
  module.def("view", make_view, nb::arg("array"), nb::arg("dtype"), nb::arg("shape"),
             nb::arg("strides") = std::vector<int64_t>{}, nb::arg("offset") = 0);
}

}  // namespace

NB_MODULE(_tandem, module) {
  nb::set_leak_warnings(false);
  nb::register_exception_translator(translate);
  module.attr("__version__") = TANDEM_VERSION;
  module.def("device_count", [] { return Device::count(); });
  module.def("dtype_of",
             [](nb::handle array) { return dtype_name(array_of(array, false, "dtype_of", "array").view.dtype); });
  add_view(module);
  add_calls(module);
  add_communicator(module);
}

}  // namespace tandem::python
