// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/reference/table.h"

namespace tandem::reference {

constinit const KernelTable table{.name = "reference",
                                  .gemm = {.run = gemm, .combine = combine},
                                  .norm = {.add_rms_norm = add_rms_norm, .softmax = softmax},
                                  .reduce = {.sum_rows = sum_rows, .add_rows = add_rows, .cast = cast, .combine = combine_inputs},
                                  .rope = {.rope = rope},
                                  .attention = {.paged = paged_attention},
                                  .moe = {.top_k = top_k, .swiglu = swiglu},
                                  .quant = {.quantize = quantize, .dequantize = dequantize, .dynamic_quant = dynamic_quant},
                                  .elementwise = {.unary = unary, .binary = binary}};

}  // namespace tandem::reference
