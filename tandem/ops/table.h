// SPDX-License-Identifier: Apache-2.0
#pragma once

#pragma GCC visibility push(default)
namespace tandem {

// What an operator's operands are, as data; defined in tandem/ops/fields.h. Each operator's header declares its own.
template <class Op>
struct OperatorTable;
template <class Op>
const OperatorTable<Op>& table_of();

}  // namespace tandem
#pragma GCC visibility pop
