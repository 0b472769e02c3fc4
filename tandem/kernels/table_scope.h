// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/table.h"

#pragma GCC visibility push(default)
namespace tandem {

// While it lives, default_table() is `table` for this thread: the plans it makes use it. For checks that compare tables.
class TableScope {
 public:
  explicit TableScope(const KernelTable& table);
  ~TableScope();
  TableScope(const TableScope&) = delete;
  TableScope& operator=(const TableScope&) = delete;

 private:
  const KernelTable* before_;
};

}  // namespace tandem
#pragma GCC visibility pop
