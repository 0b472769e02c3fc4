// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/table.h"

#include "tandem/kernels/cpu/kernels.h"

namespace tandem::TANDEM_ISA {

extern const KernelTable table;
constinit const KernelTable table{.name = TANDEM_ISA_STRING(TANDEM_ISA),
                                  .gemm = {.run = gemm, .run_group = gemm_group, .combine = combine},
                                  .norm = {.add_rms_norm = add_rms_norm, .softmax = softmax},
                                  .reduce = {.sum_rows = sum_rows, .add_rows = add_rows, .cast = cast, .combine = combine_inputs},
                                  .rope = {.rope = rope},
                                  .attention = {.paged = paged_attention},
                                  .moe = {.top_k = top_k, .swiglu = swiglu},
                                  .quant = {.quantize = quantize, .dequantize = dequantize, .dynamic_quant = dynamic_quant},
                                  .elementwise = {.unary = unary, .binary = binary}};

}  // namespace tandem::TANDEM_ISA
