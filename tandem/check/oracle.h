// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tandem/check/case.h"

// What calls give in double arithmetic from the stored inputs, and how far f32 arithmetic with one rounding to the
// output type may lie from it. v = 2^-24, u = unit roundoff of the output type.
namespace tandem::check {

struct Wanted {
  std::vector<double> values, bounds;
};
using Oracle = std::map<std::string, Wanted> (*)(const Case&);

std::map<std::string, Wanted> rms_norm_oracle(const Case& c);
std::map<std::string, Wanted> layer_norm_oracle(const Case& c);
std::map<std::string, Wanted> rms_norm_backward_oracle(const Case& c);
std::map<std::string, Wanted> paged_cache_load_oracle(const Case& c);
std::map<std::string, Wanted> rms_norm_quant_oracle(const Case& c);
std::map<std::string, Wanted> rms_norm_dynamic_quant_oracle(const Case& c);
std::map<std::string, Wanted> quantize_oracle(const Case& c);
std::map<std::string, Wanted> dequantize_oracle(const Case& c);
std::map<std::string, Wanted> dynamic_quant_oracle(const Case& c);
std::map<std::string, Wanted> trans_quant_param_oracle(const Case& c);
std::map<std::string, Wanted> cast_oracle(const Case& c);
std::map<std::string, Wanted> activation_oracle(const Case& c);
std::map<std::string, Wanted> arithmetic_oracle(const Case& c);
std::map<std::string, Wanted> swiglu_oracle(const Case& c);
std::map<std::string, Wanted> softmax_oracle(const Case& c);
std::map<std::string, Wanted> rope_oracle(const Case& c);
std::map<std::string, Wanted> copy_oracle(const Case& c);
std::map<std::string, Wanted> gather_oracle(const Case& c);
std::map<std::string, Wanted> matmul_oracle(const Case& c);
std::map<std::string, Wanted> linear_oracle(const Case& c);
std::map<std::string, Wanted> quant_matmul_oracle(const Case& c);
std::map<std::string, Wanted> weight_quant_matmul_oracle(const Case& c);
std::map<std::string, Wanted> grouped_matmul_oracle(const Case& c);
std::map<std::string, Wanted> attention_oracle(const Case& c);
std::map<std::string, Wanted> reshape_and_cache_oracle(const Case& c);
std::map<std::string, Wanted> moe_gating_oracle(const Case& c);
std::map<std::string, Wanted> moe_init_oracle(const Case& c);
std::map<std::string, Wanted> moe_tokens_oracle(const Case& c);
std::map<std::string, Wanted> transdata_oracle(const Case& c);
std::map<std::string, Wanted> moe_finalize_oracle(const Case& c);

double unit_of(DType dtype);
// Half a spacing at `value` and a little more, and never less than a subnormal spacing.
double rounding(DType dtype, double value);
// The integer a quantiser gives; +-1 where `v` is too near a tie for f32 to decide, more where f32 knows it no better.
void push_rounded(Wanted& wanted, double v, double low, double high, double slack);
// Whether a result is the wanted one, NaN and overflow to infinity included, or lies within the bound.
bool within(DType dtype, double got, double wanted, double bound);
// "" or the first element outside its bound.
std::string compare(const std::string& name, const Operand& got, const Wanted& wanted);

}  // namespace tandem::check
