// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string_view>

#include "tandem/kernels/attention.h"
#include "tandem/kernels/elementwise.h"
#include "tandem/kernels/gemm.h"
#include "tandem/kernels/moe.h"
#include "tandem/kernels/norm.h"
#include "tandem/kernels/quant.h"
#include "tandem/kernels/reduce.h"
#include "tandem/kernels/rope.h"

#pragma GCC visibility push(default)
namespace tandem {

// The one form every implementation fills in. Kernels cannot fail: plan() has checked every argument. An empty pointer
// means "not in this table".
struct KernelTable {
  std::string_view name;
  GemmKernels gemm;
  NormKernels norm;
  ReduceKernels reduce;
  RopeKernels rope;
  AttentionKernels attention;
  MoeKernels moe;
  QuantKernels quant;
  ElementwiseKernels elementwise;
};

// Tables this machine can run, best first; "reference" (double precision, plain loops) is last and never the default.
std::span<const KernelTable* const> kernel_tables();
// The table of that name, or nullptr.
const KernelTable* find_table(std::string_view name);
// TANDEM_TABLE if set and runnable, else the best.
const KernelTable& default_table();
// TANDEM_MATH; exact where it is unset.
Math default_math();

}  // namespace tandem
#pragma GCC visibility pop
