// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/operators.h"

#include <algorithm>
#include <cstdlib>

#include "tandem/ops/attention.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/grouped_matmul.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/moe_routing.h"
#include "tandem/ops/movement.h"
#include "tandem/ops/norm.h"
#include "tandem/ops/quantize.h"
#include "tandem/ops/rope.h"
#include "tandem/ops/transdata.h"

namespace tandem::check {
namespace {

template <class Op>
Outcome plain(Case c) {
  return call_cpp<Op>(std::move(c), nullptr);
}

template <class T>
T choose(const Case& c, const std::string& word, std::initializer_list<std::pair<const char*, T>> values, T absent) {
  const auto found = c.words.find(word);
  for (const auto& [name, value] : values) {
    if (found != c.words.end() && found->second == name) return value;
  }
  return absent;
}

Outcome quantize(Case c) {
  return call_cpp<Quantize>(std::move(c), [](Quantize& op, const Case& given) {
    op.rounding = choose<Rounding>(
        given, "rounding", {{"floor", Rounding::floor}, {"ceil", Rounding::ceil}, {"trunc", Rounding::truncate}},
        Rounding::half_even);
  });
}

Outcome activation(Case c) {
  return call_cpp<Activation>(std::move(c), [](Activation& op, const Case& given) {
    op.op = choose<Unary>(given, "op", {{"gelu", Unary::gelu}, {"scale", Unary::scale}}, Unary::silu);
  });
}

Outcome arithmetic(Case c) {
  return call_cpp<Arithmetic>(std::move(c), [](Arithmetic& op, const Case& given) {
    op.op = choose<Binary>(given, "op",
                           {{"subtract", Binary::subtract}, {"multiply", Binary::multiply}, {"divide", Binary::divide}},
                           Binary::add);
  });
}

Outcome rope(Case c) {
  return call_cpp<Rope>(std::move(c), [](Rope& op, const Case& given) {
    op.form = choose<RopeForm>(given, "form", {{"interleave", RopeForm::interleave}, {"quarter", RopeForm::quarter}},
                               RopeForm::half);
  });
}

Outcome transdata(Case c) {
  using Kind = Transdata::Kind;
  return call_cpp<Transdata>(std::move(c), [](Transdata& op, const Case& given) {
    op.kind = choose<Kind>(
        given, "kind", {{"from_nz", Kind::from_nz}, {"to_panels", Kind::to_panels}, {"from_panels", Kind::from_panels}},
        Kind::to_nz);
  });
}

Outcome grouped(Case c) {
  return call_cpp<GroupedMatmul>(std::move(c), [](GroupedMatmul& op, const Case& given) {
    op.activation = given.number("act", 0) == 2 ? Unary::gelu : given.number("act", 0) == 5 ? Unary::silu : Unary::copy;
    if (!given.has("ends")) return;
    for (const double end : given.operand("ends").values()) op.ends.push_back(static_cast<int64_t>(end));
  });
}

Outcome attention(Case c) {
  return call_cpp<IncreFlashAttention>(std::move(c), [](IncreFlashAttention& op, const Case& given) {
    op.order =
        choose<HeadOrder>(given, "order", {{"BSND", HeadOrder::bsnd}, {"BNSD", HeadOrder::bnsd}}, HeadOrder::bsh);
    if (!given.has("lengths")) return;
    for (const double length : given.operand("lengths").values()) op.lengths.push_back(static_cast<int64_t>(length));
  });
}

Outcome fused_attention(Case c) {
  return call_cpp<FusedInferAttention>(std::move(c), [](FusedInferAttention& op, const Case& given) {
    op.order = choose<HeadOrder>(given, "order",
                                 {{"BSND", HeadOrder::bsnd}, {"BNSD", HeadOrder::bnsd}, {"TND", HeadOrder::tnd}},
                                 HeadOrder::bsh);
    op.causal = choose<Causal>(given, "causal", {{"left_up", Causal::left_up}, {"right_down", Causal::right_down}},
                               Causal::none);
    for (const auto& [name, list] : {std::pair{"lengths", &op.lengths}, {"query_lengths", &op.query_lengths}}) {
      if (!given.has(name)) continue;
      for (const double length : given.operand(name).values()) list->push_back(static_cast<int64_t>(length));
    }
  });
}

}  // namespace

const std::vector<Operator>& operators() {
  static const std::vector<Operator> kAll = {
      {"rms_norm", plain<RmsNorm>, rms_norm_oracle},
      {"rms_norm_quant", plain<RmsNormQuant>, rms_norm_quant_oracle},
      {"rms_norm_dynamic_quant", plain<RmsNormDynamicQuant>, rms_norm_dynamic_quant_oracle},
      {"layer_norm", plain<LayerNorm>, layer_norm_oracle},
      {"rms_norm_backward", plain<RmsNormBackward>, rms_norm_backward_oracle},
      {"paged_cache_load", plain<PagedCacheLoad>, paged_cache_load_oracle},
      {"quantize", quantize, quantize_oracle},
      {"dequantize", plain<Dequantize>, dequantize_oracle},
      {"dynamic_quant", plain<DynamicQuant>, dynamic_quant_oracle},
      {"trans_quant_param", plain<TransQuantParam>, trans_quant_param_oracle},
      {"cast", plain<Cast>, cast_oracle},
      {"activation", activation, activation_oracle},
      {"arithmetic", arithmetic, arithmetic_oracle},
      {"swiglu", plain<Swiglu>, swiglu_oracle},
      {"softmax", plain<Softmax>, softmax_oracle},
      {"rope", rope, rope_oracle},
      {"copy", plain<Copy>, copy_oracle},
      {"gather", plain<Gather>, gather_oracle},
      {"matmul", plain<Matmul>, matmul_oracle},
      {"linear", plain<Linear>, linear_oracle},
      {"quant_matmul", plain<QuantMatmul>, quant_matmul_oracle},
      {"weight_quant_matmul", plain<WeightQuantMatmul>, weight_quant_matmul_oracle},
      {"grouped_matmul", grouped, grouped_matmul_oracle},
      {"incre_flash_attention", attention, attention_oracle},
      {"fused_infer_attention", fused_attention, attention_oracle},
      {"reshape_and_cache", plain<ReshapeAndCache>, reshape_and_cache_oracle},
      {"transdata", transdata, transdata_oracle},
      {"moe_gating", plain<MoeGating>, moe_gating_oracle},
      {"moe_init_routing", plain<MoeInitRouting>, moe_init_oracle},
      {"moe_expert_tokens", plain<MoeExpertTokens>, moe_tokens_oracle},
      {"moe_finalize_routing", plain<MoeFinalizeRouting>, moe_finalize_oracle},
  };
  return kAll;
}

const Operator& find_operator(const std::string& name) {
  const auto found =
      std::find_if(operators().begin(), operators().end(), [&](const Operator& o) { return o.name == name; });
  if (found != operators().end()) return *found;
  fmt::print(stderr, "cases name the unknown operator {}\n", name);
  std::abort();
}

}  // namespace tandem::check
