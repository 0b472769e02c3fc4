// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include "tandem/check/case.h"
#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/fields.h"
#include "tandem/ops/plan.h"

namespace tandem::check {

struct Outcome {
  int status = 0;  // 0, or the vendor's code of the same error
  std::string message;
  Results results;
};

inline int status_of(const Error& error) {
  if (error.code == ErrorCode::null_argument) return 161001;
  return error.code == ErrorCode::invalid_argument ? 161002 : 361001;
}

// A case as a call of the C++ interface: operands and numbers go where the operator's table says, words by `set_words`.
template <class Op>
Outcome call_cpp(Case c, void (*set_words)(Op&, const Case&)) {
  Op op{};
  const OperatorTable<Op>& table = table_of<Op>();
  for (const Field<Op>& field : table.fields) {
    const auto given = c.operands.find(std::string(field.row.name));
    if (given == c.operands.end()) continue;
    if (field.list != nullptr) {
      for (Operand& one : given->second) (op.*field.list).push_back(one.view(one.bytes.data()));
    } else {
      op.*field.member = given->second.front().view(given->second.front().bytes.data());
    }
  }
  for (const Number<Op>& number : table.numbers) {
    const auto given = c.numbers.find(std::string(number.name));
    if (given == c.numbers.end()) continue;
    std::visit([&]<class T>(T Op::*member) { op.*member = static_cast<T>(given->second); }, number.member);
  }
  if (set_words != nullptr) set_words(op, c);
  Device& device = **Device::get(0);
  const auto planned = plan(op, device);
  if (!planned) return {status_of(planned.error()), planned.error().message, {}};
  auto stream = std::move(*Stream::create(device));
  std::vector<std::byte> workspace(planned->workspace_bytes());
  Status status = planned->run(workspace, *stream);
  if (status) status = stream->synchronize();
  if (!status) return {status_of(status.error()), status.error().message, {}};
  Outcome outcome;
  for (const Field<Op>& field : table.fields) {
    const auto given = c.operands.find(std::string(field.row.name));
    if (!is_output(field.row.role) || given == c.operands.end()) continue;
    for (const Operand& one : given->second) outcome.results[given->first].push_back(one.bytes);
  }
  return outcome;
}

}  // namespace tandem::check
