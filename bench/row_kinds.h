// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tandem/base/dtype.h"
#include "tandem/exec/lane.h"
#include "tandem/kernels/table.h"

namespace tandem::bench {

// One operand of a row operator: [rows][width] of a type, or `width` elements that all rows share.
struct Part {
  enum class Role : uint8_t { input, output, both, shared };
  DType dtype = DType::none;
  int64_t width = 0;
  Role role = Role::input;
  int low = -8, high = 0;     // exponents of floats
  double relative = 0, absolute = 0;  // allowed against the float64 table (outputs)
  std::function<float(int64_t)> value;  // instead of random ones
};

// A row operator on rows of n columns; operands arrive in the order of `parts`.
struct RowKind {
  std::string name, types;
  int64_t n = 0;
  std::vector<Part> parts;
  std::function<bool(const KernelTable&)> present;
  std::function<void(const KernelTable&, void* const* parts, int64_t rows, Lane&)> call;
};

std::vector<RowKind> row_kinds(int64_t n);

}  // namespace tandem::bench
