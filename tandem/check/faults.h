// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string_view>

#include "tandem/kernels/table.h"

// Faults that `tandem check --seed-fault` puts between a call and the real kernels: a check that finds none of them
// would find nothing.
namespace tandem::check {

struct Fault {
  std::string_view name, text;
  void (*apply)(KernelTable&);     // replaces kernels of a copied table; or
  bool residual_per_rank = false;  // alters the arguments of the fused operator
};
std::span<const Fault> faults();
const Fault* find_fault(std::string_view name);

// `inner` with the fault in it; nullptr is no fault. One at a time: the replaced kernels find `inner` in a global.
class FaultyTable {
 public:
  FaultyTable(const Fault* fault, const KernelTable& inner);
  const KernelTable& table() const { return table_; }

 private:
  KernelTable table_;
};

}  // namespace tandem::check
