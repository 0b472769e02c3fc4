// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/table.h"

// The oracle: plain loops in double precision from the stored values, rounded once at the store. For comparison within a
// tolerance; it does not follow the order of sums.
namespace tandem::reference {

extern const KernelTable table;

void gemm(const GemmArgs& args, Lane& lane);
void combine(const CombineArgs& args, Lane& lane);
void add_rms_norm(const AddRmsNormArgs& args, Lane& lane);
void softmax(const SoftmaxArgs& args, Lane& lane);
void sum_rows(const SumRowsArgs& args, Lane& lane);
void add_rows(const AddRowsArgs& args, Lane& lane);
void cast(const CastArgs& args, Lane& lane);
void combine_inputs(const CombineInputsArgs& args, Lane& lane);
void rope(const RopeArgs& args, Lane& lane);
void paged_attention(const PagedAttentionArgs& args, Lane& lane);
void top_k(const TopKArgs& args, Lane& lane);
void swiglu(const SwigluArgs& args, Lane& lane);
void quantize(const QuantizeArgs& args, Lane& lane);
void dequantize(const DequantizeArgs& args, Lane& lane);
void dynamic_quant(const DynamicQuantArgs& args, Lane& lane);
void unary(const UnaryArgs& args, Lane& lane);
void binary(const BinaryArgs& args, Lane& lane);

}  // namespace tandem::reference
