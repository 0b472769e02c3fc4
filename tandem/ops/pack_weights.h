// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <span>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"

#pragma GCC visibility push(default)
namespace tandem {

// Weights laid out once for all calls that read them: a (k, n) weight f32, f16, bf16, i8 or i4, row-major or
// transposed, as panels of kPackedColumns columns in memory of the caller. The view that comes back goes where the
// weight went, with kPackedColumns beside it (MmAllReduce::x2_panel, Matmul::b_panel); results keep their bits. Errors:
// null_argument, invalid_argument (no matrix, other strides, memory too small).
size_t packed_weight_bytes(const TensorView& weight);
Expected<TensorView> pack_weights(const TensorView& weight, std::span<std::byte> memory);

}  // namespace tandem
#pragma GCC visibility pop
