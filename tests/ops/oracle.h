// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tests/ops/case.h"

// What calls give in double arithmetic from the stored inputs, and how far f32 arithmetic with one rounding to the
// output type may lie from it. v = 2^-24, u = unit roundoff of the output type.
namespace tandem::ops_test {

struct Wanted {
  std::vector<double> values, bounds;
};
using Oracle = std::map<std::string, Wanted> (*)(const Case&);

std::map<std::string, Wanted> rms_norm_oracle(const Case& c);
std::map<std::string, Wanted> quantize_oracle(const Case& c);
std::map<std::string, Wanted> dequantize_oracle(const Case& c);
std::map<std::string, Wanted> dynamic_quant_oracle(const Case& c);
std::map<std::string, Wanted> cast_oracle(const Case& c);
std::map<std::string, Wanted> activation_oracle(const Case& c);
std::map<std::string, Wanted> arithmetic_oracle(const Case& c);
std::map<std::string, Wanted> swiglu_oracle(const Case& c);
std::map<std::string, Wanted> softmax_oracle(const Case& c);
std::map<std::string, Wanted> rope_oracle(const Case& c);
std::map<std::string, Wanted> matmul_oracle(const Case& c);
std::map<std::string, Wanted> linear_oracle(const Case& c);
std::map<std::string, Wanted> quant_matmul_oracle(const Case& c);
std::map<std::string, Wanted> weight_quant_matmul_oracle(const Case& c);
std::map<std::string, Wanted> grouped_matmul_oracle(const Case& c);
std::map<std::string, Wanted> attention_oracle(const Case& c);
std::map<std::string, Wanted> reshape_and_cache_oracle(const Case& c);
std::map<std::string, Wanted> moe_gating_oracle(const Case& c);
std::map<std::string, Wanted> moe_finalize_oracle(const Case& c);

double unit_of(DType dtype);
// "" or the first element outside its bound.
std::string compare(const std::string& name, const Operand& got, const Wanted& wanted);

}  // namespace tandem::ops_test
