// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tandem/base/check.h"
#include "tandem/base/tensor.h"
#include "tandem/ops/table.h"

// What an operator's operands are, as data: checks, error texts and pages come from the same rows.
#pragma GCC visibility push(default)
namespace tandem {

struct KernelTable;
struct Lane;

enum class Role : uint8_t { input, option, output, option_output, inout, option_inout };
constexpr bool is_output(Role role) { return role >= Role::output; }
constexpr bool is_read(Role role) { return role != Role::output && role != Role::option_output; }
constexpr bool is_required(Role role) { return role == Role::input || role == Role::output || role == Role::inout; }

// Strided operands are copied once into dense memory (and back), refused, or read by the operator itself.
enum class Layout : uint8_t { copied, dense, own };

// One operand.
//   dtypes: names separated by blanks; "=x" stands for the dtype of operand x.
//   shape:  alternatives separated by " | "; "=x" is the shape of operand x; otherwise dimensions separated by blanks:
//           a number, a name (bound where it first appears), "name.." for any number of dimensions, "name..=1" for as
//           many ones as name.. has dimensions. "" is any shape.
struct Operand {
  std::string_view name;
  Role role = Role::input;
  std::string_view dtypes, shape, text;
  Layout layout = Layout::copied;
};

struct Range {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
};

// An operand, or a list of operands that the row describes one by one.
template <class Op>
struct Field {
  Operand row;
  TensorView Op::*member = nullptr;
  std::vector<TensorView> Op::*list = nullptr;

  // body(tensor) for each operand of `op` (const or not).
  template <class O, class Body>
  void each(O& op, Body&& body) const {
    if (member != nullptr) return body(op.*member);
    for (auto& tensor : op.*list) body(tensor);
  }
};

template <class Op>
struct Number {
  std::string_view name, text;
  std::variant<int64_t Op::*, double Op::*, bool Op::*> member;
  Range range;
};

// What a run may use.
struct Work {
  const KernelTable& kernels;
  Lane& lane;
};

// A whole operator. `rules` says what rows cannot; `run` sees dense operands that passed every check.
template <class Op>
struct OperatorTable {
  std::string_view name, formula;
  std::span<const Field<Op>> fields;
  std::span<const Number<Op>> numbers;
  void (*rules)(Check&, const Op&) = nullptr;
  Status (*run)(const Op&, Work&) = nullptr;
};

struct Given {
  const Operand* row;
  const TensorView* tensor;
};

// Sizes that shapes of a call gave to names, and the operands themselves.
class Names {
 public:
  void give(std::string_view name, const TensorView& tensor) { tensors_[name] = &tensor; }
  const TensorView* find(std::string_view name) const;
  // Whether one alternative of `shape` fits; binds its new names.
  bool match(std::string_view shape, const TensorView& tensor);
  // The alternatives in words, bound names as their sizes: "[2,4] or [1]".
  std::string render(std::string_view shape) const;

 private:
  bool match_one(std::string_view pattern, const TensorView& tensor);
  std::string render_one(std::string_view pattern) const;
  std::map<std::string_view, std::vector<int64_t>> bound_;
  std::map<std::string_view, const TensorView*> tensors_;
};

// Presence, dtypes, extents, shapes and layouts, in this order over all operands.
void check_operands(Check& check, std::span<const Given> given);
void check_number(Check& check, std::string_view name, double value, const Range& range);

template <class Op>
std::vector<Given> given_of(const OperatorTable<Op>& table, const Op& op) {
  static constexpr TensorView kAbsent{};
  std::vector<Given> given;
  for (const Field<Op>& field : table.fields) {
    if (field.list != nullptr && (op.*field.list).empty()) given.push_back({&field.row, &kAbsent});
    field.each(op, [&](const TensorView& tensor) { given.push_back({&field.row, &tensor}); });
  }
  return given;
}

template <class Op>
Status check_table(const OperatorTable<Op>& table, const Op& op) {
  Check check(table.name);
  check_operands(check, given_of(table, op));
  for (const Number<Op>& number : table.numbers) {
    std::visit([&](auto member) { check_number(check, number.name, static_cast<double>(op.*member), number.range); },
               number.member);
  }
  if (!check.failed() && table.rules != nullptr) table.rules(check, op);
  return check.status();
}

}  // namespace tandem
#pragma GCC visibility pop
