// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/pages.h"

#include <cmath>

#include "tandem/ops/attention.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/fields.h"
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

const char* role_name(Role role) {
  constexpr const char* kNames[] = {"input", "option", "output", "option_output", "inout", "option_inout"};
  return kNames[static_cast<size_t>(role)];
}

template <class Op>
nlohmann::json page() {
  const OperatorTable<Op>& table = table_of<Op>();
  nlohmann::json operands = nlohmann::json::array(), numbers = nlohmann::json::array();
  for (const Field<Op>& field : table.fields) {
    constexpr const char* kLayouts[] = {"copied", "dense", "own"};
    operands.push_back({{"name", field.row.name},
                        {"role", role_name(field.row.role)},
                        {"dtypes", field.row.dtypes},
                        {"shape", field.row.shape},
                        {"text", field.row.text},
                        {"layout", kLayouts[static_cast<size_t>(field.row.layout)]},
                        {"list", field.list != nullptr}});
  }
  for (const Number<Op>& number : table.numbers) {
    nlohmann::json one{{"name", number.name}, {"text", number.text}};
    if (std::isfinite(number.range.low)) one["low"] = number.range.low;
    if (std::isfinite(number.range.high)) one["high"] = number.range.high;
    numbers.push_back(std::move(one));
  }
  return {{"name", table.name}, {"formula", table.formula}, {"operands", operands}, {"numbers", numbers}};
}

template <class... Ops>
nlohmann::json pages_of() {
  return nlohmann::json::array({page<Ops>()...});
}

}  // namespace

nlohmann::json pages() {
  return pages_of<LayerNorm, RmsNormBackward, PagedCacheLoad, RmsNorm, RmsNormQuant, RmsNormDynamicQuant, Quantize,
                  Dequantize, DynamicQuant, TransQuantParam, Cast, Activation, Arithmetic, Swiglu, Softmax, Rope, Copy,
                  Gather, Matmul, Linear, QuantMatmul, WeightQuantMatmul, GroupedMatmul, IncreFlashAttention,
                  FusedInferAttention, ReshapeAndCache, Transdata, MoeGating, MoeInitRouting, MoeExpertTokens,
                  MoeFinalizeRouting>();
}

}  // namespace tandem::check
