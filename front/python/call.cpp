// SPDX-License-Identifier: Apache-2.0
#include "front/python/call.h"

#include <fmt/format.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "front/python/catalogue.h"
#include "tandem/exec/device.h"

namespace tandem::python {
namespace {

const char* role_name(Role role) {
  constexpr const char* kNames[] = {"input", "option", "output", "option_output", "inout", "option_inout"};
  return kNames[static_cast<size_t>(role)];
}

nb::dict dict_of(const Row& one) {
  nb::dict made;
  made["name"] = one.row.name;
  made["role"] = role_name(one.row.role);
  made["dtypes"] = one.row.dtypes;
  made["shape"] = one.row.shape;
  made["text"] = one.row.text;
  made["list"] = one.list;
  return made;
}

nb::object standard_of(const Figure& figure) {
  if (figure.kind == Kind::real) return nb::float_(figure.standard);
  if (figure.kind == Kind::integer) return nb::int_(static_cast<int64_t>(figure.standard));
  return nb::bool_(figure.standard != 0);
}

nb::dict dict_of(const Figure& figure) {
  nb::dict made;
  made["name"] = figure.name;
  made["text"] = figure.text;
  made["low"] = figure.range.low;
  made["high"] = figure.range.high;
  made["default"] = standard_of(figure);
  return made;
}

nb::dict dict_of(const Word& word) {
  nb::dict made;
  made["name"] = word.name;
  made["text"] = word.text;
  made["values"] = nb::cast(word.values);
  return made;
}

nb::dict dict_of(const Integers& list) {
  nb::dict made;
  made["name"] = list.name;
  made["text"] = list.text;
  return made;
}

template <class Items>
nb::list list_of(const Items& items) {
  nb::list made;
  for (const auto& item : items) made.append(dict_of(item));
  return made;
}

// Puts the arguments of a call where they belong, and keeps their arrays.
class Arguments {
 public:
  Arguments(const Entry& entry, const nb::dict& given) : entry_(entry), given_(given), call_(entry.call()) {
    for (size_t i = 0; i < entry.rows.size(); ++i) operand(i);
    for (size_t i = 0; i < entry.figures.size(); ++i) figure(i);
    for (size_t i = 0; i < entry.words.size(); ++i) word(i);
    for (size_t i = 0; i < entry.lists.size(); ++i) integers(i);
  }
  Call& call() { return *call_; }

 private:
  nb::object find(std::string_view name) const {
    const nb::str key(name.data(), name.size());
    PyObject* found = PyDict_GetItemWithError(given_.ptr(), key.ptr());
    if (found == nullptr || found == Py_None) return {};
    return nb::borrow(found);
  }

  void one(size_t index, nb::handle object) {
    const Operand& row = entry_.rows[index].row;
    arrays_.push_back(array_of(object, is_output(row.role), entry_.name, row.name));
    call_->give(index, arrays_.back().view);
  }

  void operand(size_t index) {
    const nb::object object = find(entry_.rows[index].row.name);
    if (!object.is_valid()) return;
    const bool several = nb::isinstance<nb::list>(object) || nb::isinstance<nb::tuple>(object);
    if (!several) return one(index, object);
    if (!entry_.rows[index].list) wrong(entry_.rows[index].row.name, "a list", "an array");
    for (const nb::handle item : object) one(index, item);
  }

  void figure(size_t index) {
    const Figure& figure = entry_.figures[index];
    const nb::object object = find(figure.name);
    if (!object.is_valid()) return;
    int64_t integer = 0;
    double real = 0;
    if (figure.kind == Kind::real && nb::try_cast(object, real)) return call_->real(index, real);
    if (figure.kind != Kind::real && nb::try_cast(object, integer)) return call_->integer(index, integer);
    wrong(figure.name, text_of(object), figure.kind == Kind::real ? "a number" : "an integer of 64 bits");
  }

  void word(size_t index) {
    const Word& word = entry_.words[index];
    const nb::object object = find(word.name);
    if (!object.is_valid()) return;
    std::string value;
    const bool text = nb::try_cast(object, value);
    const auto found = std::ranges::find(word.values, value);
    if (text && found != word.values.end()) {
      return call_->choose(index, static_cast<size_t>(found - word.values.begin()));
    }
    wrong(word.name, text_of(object), fmt::format("one of {}", fmt::join(word.values, ", ")));
  }

  void integers(size_t index) {
    const nb::object object = find(entry_.lists[index].name);
    if (!object.is_valid()) return;
    std::vector<int64_t> values;
    if (!nb::try_cast(object, values)) wrong(entry_.lists[index].name, text_of(object), "a list of integers");
    call_->integers(index, std::move(values));
  }

  static std::string text_of(nb::handle object) { return std::string(nb::repr(object).c_str()).substr(0, 80); }
  [[noreturn]] void wrong(std::string_view name, std::string_view given, std::string_view wanted) const {
    raise(ErrorCode::invalid_argument, fmt::format("{}: {} is {}, {} wanted", entry_.name, name, given, wanted));
  }

  const Entry& entry_;
  const nb::dict& given_;
  std::unique_ptr<Call> call_;
  std::vector<Array> arrays_;
};

Plan plan_of(const Entry& entry, Arguments& arguments, CommunicatorHandle* comm, int device) {
  if (entry.between_ranks && comm == nullptr) {
    raise(ErrorCode::null_argument, fmt::format("{}: group is absent, a Communicator wanted", entry.name));
  }
  const std::string name = comm != nullptr ? comm->comm->name() : "";
  arguments.call().group(name);
  Device* target = check(Device::get(comm != nullptr ? comm->comm->device() : device));
  const nb::gil_scoped_release free;
  return check(arguments.call().plan(*target));
}

void call(std::string_view name, const nb::dict& given, CommunicatorHandle* comm, int device) {
  const Entry* entry = find_entry(name);
  if (entry == nullptr) raise(ErrorCode::invalid_argument, fmt::format("call: no operator {}", name));
  Arguments arguments(*entry, given);
  const Plan plan = plan_of(*entry, arguments, comm, device);
  if (comm == nullptr) return own_queue(device).run(plan, nullptr);
  comm->queue.run(plan, comm->comm.get());
}

nb::list operators() {
  nb::list all;
  for (const Entry& entry : catalogue()) {
    nb::dict made;
    made["name"] = entry.name;
    made["formula"] = entry.formula;
    made["operands"] = list_of(entry.rows);
    made["numbers"] = list_of(entry.figures);
    made["words"] = list_of(entry.words);
    made["lists"] = list_of(entry.lists);
    made["between_ranks"] = entry.between_ranks;
    all.append(made);
  }
  return all;
}

}  // namespace

void add_calls(nb::module_& module) {
  module.def("operators", operators, "What the tables say about every operator.");
  module.def("call", call, nb::arg("name"), nb::arg("given"), nb::arg("group").none() = nb::none(),
             nb::arg("device") = 0, "Runs one operator on arrays by their names, results included.");
}

}  // namespace tandem::python
