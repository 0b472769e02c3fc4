// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/reference/table.h"

namespace tandem::reference {

constinit const KernelTable table{.name = "reference",
                                  .gemm = {.run = gemm, .combine = combine},
                                  .norm = {.add_rms_norm = add_rms_norm},
                                  .reduce = {.sum_rows = sum_rows, .add_rows = add_rows, .cast = cast},
                                  .rope = {.rope = rope},
                                  .attention = {.paged = paged_attention},
                                  .moe = {.top_k = top_k, .swiglu = swiglu}};

}  // namespace tandem::reference
