// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/attention.h"
#include "tandem/kernels/cpu/isa.h"
#include "tandem/kernels/elementwise.h"
#include "tandem/kernels/gemm.h"
#include "tandem/kernels/moe.h"
#include "tandem/kernels/norm.h"
#include "tandem/kernels/quant.h"
#include "tandem/kernels/reduce.h"
#include "tandem/kernels/rope.h"

// What table.cpp puts into the form.
namespace tandem::TANDEM_ISA {

void gemm(const GemmArgs& args, Lane& lane);
void gemm_group(const GemmArgs* products, int64_t count, Lane& lane);
// Products of few rows; false: not a shape it serves, nothing is done.
bool gemm_few(const GemmArgs& args, Lane& lane);
// Products with exact integer sums; false: not one of them.
bool gemm_integer(const GemmArgs& args, Lane& lane);
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

}  // namespace tandem::TANDEM_ISA
