// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "tandem/kernels/gemm.h"

#pragma GCC visibility push(default)
namespace tandem {

// Bytes of a (k, n) weight packed into panels of kPanel columns.
size_t packed_bytes(DType dtype, int64_t k, int64_t n);
// Copies `from` (row-major, columns along k, or packed) into panels at `to`; returns the packed view. Padding columns
// are zero.
Weight pack_weight(const Weight& from, int64_t k, int64_t n, void* to);
// The other way: panels to a row-major matrix without gaps (of int4: n even).
void unpack_weight(const Weight& packed, int64_t k, int64_t n, void* to);

}  // namespace tandem
#pragma GCC visibility pop
