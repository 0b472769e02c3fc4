// SPDX-License-Identifier: Apache-2.0
// Products with an activation between or behind them: translation to chains with matmul and grouped_matmul.
#include "aclnnop/aclnn_dequant_swiglu_quant.h"
#include "aclnnop/aclnn_ffn_v3.h"
#include "aclnnop/aclnn_grouped_matmul_swiglu_quant.h"
#include "aclnnop/aclnn_swi_glu_quant.h"
#include "front/aclnn/chain.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/grouped_matmul.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/quantize.h"
#include "tandem/ops/transdata.h"

namespace tandem::front {
namespace {

// f32 rows whose left half is the one that goes through silu.
TensorView gate_first(Chain& chain, const TensorView& x, bool left) {
  if (left && x.dtype == DType::f32) return x;
  const TensorView wide = chain.temporary_like(x, DType::f32);
  TensorView from = x, to = wide;
  const auto last = static_cast<size_t>(x.rank - 1);
  const int64_t half = x.dim(-1) / 2;
  if (left) {
    chain.then(Cast{x, wide});
    return wide;
  }
  from.shape[last] = to.shape[last] = half;
  const auto behind = [&](TensorView view) {
    view.data = static_cast<char*>(view.data) + dtype_bytes(view.dtype, half * view.stride[last]);
    return view;
  };
  chain.then(Cast{behind(from), to});
  chain.then(Cast{from, behind(to)});
  return wide;
}

// swiglu in f32, of rows of a matrix.
TensorView gated(Chain& chain, const TensorView& x, bool left) {
  std::vector<int64_t> dims(x.shape.begin(), x.shape.begin() + x.rank);
  dims.back() /= 2;
  const TensorView y = chain.temporary(DType::f32, dims);
  chain.then(Swiglu{gate_first(chain, x, left), y});
  return y;
}

struct Gate {
  const aclTensor *x, *scale, *offset, *group, *y, *scale_out;
  bool left;
  std::string_view mode;
};

void bind_gate(Call<Steps>& call, const Gate& given) {
  const TensorView& x = call.needed("x", given.x);
  const TensorView& scale = call.given("scale", given.scale);
  const TensorView& offset = call.given("offset", given.offset);
  const TensorView& group = call.given("groupIndexOptional", given.group);
  const TensorView& y = call.result("yOut", given.y);
  const bool dynamic = given.mode == "dynamic", left = given.left;
  const TensorView& scale_out = call.optional_result("scaleOut", dynamic ? given.scale_out : nullptr);
  call.check.that(dynamic || given.mode == "static", "quantModeOptional is \"{}\", static or dynamic wanted",
                  given.mode);
  call.check.present("scale", dynamic || scale.present()).present("scaleOut", !dynamic || scale_out.present());
  call.check.that(dynamic || !group.present(), "groupIndexOptional is given, null wanted (static)");
  call.check.dtype("x", x, {DType::f32, DType::f16, DType::bf16}).rank("x", x, 2, TensorView::kMaxRank);
  call.op.build = [&, dynamic, left](Chain& chain) {
    const TensorView rows = gated(chain, x, left);
    if (!dynamic) return chain.then(Quantize{.x = rows, .scale = scale, .offset = offset, .y = y});
    chain.then(DynamicQuant{.x = rows, .smooth = scale, .group = group, .y = y, .scale = scale_out});
  };
}

void act(Chain& chain, std::string_view name, const TensorView& y) {
  if (name == "gelu") return chain.then(Activation{y, y, Unary::gelu});
  if (name == "silu") return chain.then(Activation{y, y, Unary::silu});
  TensorView zero = chain.constant(0);  // relu
  zero.dtype = y.dtype;
  chain.then(Arithmetic{y, zero, y, Binary::maximum});
}

struct Layers {
  const TensorView &x, &weight1, &weight2, &experts, &bias1, &bias2, &y;
  bool ends;
};

// y = x @ weight + bias, of groups of rows where there are experts.
void layer(Chain& chain, const Layers& given, const TensorView& x, const TensorView& weight, const TensorView& bias,
           const TensorView& y) {
  if (!given.experts.present()) {
    return chain.then(Linear{.x = x, .weight = weight, .bias = bias, .y = y, .transpose = false});
  }
  GroupedMatmul product{.x = {x}, .weight = {weight}, .y = {y}, .group = given.experts, .counts = !given.ends};
  if (bias.present()) product.bias = {bias};
  chain.then(product);
}

void run_layers(Chain& chain, const Layers& given, std::string_view activation) {
  std::vector<int64_t> dims(given.x.shape.begin(), given.x.shape.begin() + given.x.rank);
  dims.back() = given.weight1.dim(-1);
  const TensorView hidden = chain.temporary(given.x.dtype, dims);
  layer(chain, given, given.x, given.weight1, given.bias1, hidden);
  act(chain, activation, hidden);
  layer(chain, given, hidden, given.weight2, given.bias2, given.y);
}

// Weights as matrices, whichever way they are laid out: blocks of FRACTAL_NZ, our panels, or rows.
TensorView matrices(Chain& chain, const TensorView& weight, int64_t panel, bool packed) {
  if (packed && weight.rank == 5) {
    const TensorView rows =
        chain.temporary(weight.dtype, {weight.dim(0), weight.dim(2) * weight.dim(3), weight.dim(1) * weight.dim(4)});
    chain.then(Transdata{weight, rows, Transdata::Kind::from_nz});
    return rows;
  }
  if (!packed || panel == 0) return weight;
  const TensorView rows = chain.temporary_like(weight, weight.dtype);
  chain.then(Transdata{weight, rows, Transdata::Kind::from_panels});
  return rows;
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnSwiGluQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* smoothScalesOptional,
                                             const aclTensor* offsetsOptional, const aclTensor* groupIndexOptional,
                                             bool activateLeft, char* quantModeOptional, const aclTensor* yOut,
                                             const aclTensor* scaleOut, uint64_t* workspaceSize,
                                             aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnSwiGluQuant", workspaceSize, executor, [&](auto& call) {
    front::bind_gate(call, {x, smoothScalesOptional, offsetsOptional, groupIndexOptional, yOut, scaleOut, activateLeft,
                            front::text_of(quantModeOptional, "dynamic")});
  });
}

aclnnStatus aclnnSwiGluQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnDequantSwigluQuantGetWorkspaceSize(
    const aclTensor* x, const aclTensor* weightScaleOptional, const aclTensor* activationScaleOptional,
    const aclTensor* biasOptional, const aclTensor* quantScaleOptional, const aclTensor* quantOffsetOptional,
    const aclTensor* groupIndexOptional, bool activateLeft, char* quantModeOptional, const aclTensor* yOut,
    const aclTensor* scaleOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnDequantSwigluQuant", workspaceSize, executor, [&](auto& call) {
    call.absent("weightScaleOptional", weightScaleOptional).absent("activationScaleOptional", activationScaleOptional);
    call.absent("biasOptional", biasOptional).absent("groupIndexOptional", groupIndexOptional);
    front::bind_gate(call, {x, quantScaleOptional, quantOffsetOptional, nullptr, yOut, scaleOut, activateLeft,
                            front::text_of(quantModeOptional, "static")});
  });
}

aclnnStatus aclnnDequantSwigluQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                    aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnFFNV3GetWorkspaceSize(
    const aclTensor* x, const aclTensor* weight1, const aclTensor* weight2, const aclTensor* expertTokensOptional,
    const aclTensor* bias1Optional, const aclTensor* bias2Optional, const aclTensor* scaleOptional,
    const aclTensor* offsetOptional, const aclTensor* deqScale1Optional, const aclTensor* deqScale2Optional,
    const aclTensor* antiquantScale1Optional, const aclTensor* antiquantScale2Optional,
    const aclTensor* antiquantOffset1Optional, const aclTensor* antiquantOffset2Optional, const char* activation,
    int64_t innerPrecise, bool tokensIndexFlag, const aclTensor* y, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnFFNV3", workspaceSize, executor, [&](auto& call) {
    const front::Layers given{call.needed("x", x),
                              call.needed("weight1", weight1),
                              call.needed("weight2", weight2),
                              call.given("expertTokensOptional", expertTokensOptional),
                              call.given("bias1Optional", bias1Optional),
                              call.given("bias2Optional", bias2Optional),
                              call.result("y", y),
                              tokensIndexFlag};
    call.absent("scaleOptional", scaleOptional).absent("offsetOptional", offsetOptional);
    call.absent("deqScale1Optional", deqScale1Optional).absent("deqScale2Optional", deqScale2Optional);
    call.absent("antiquantScale1Optional", antiquantScale1Optional)
        .absent("antiquantScale2Optional", antiquantScale2Optional);
    call.absent("antiquantOffset1Optional", antiquantOffset1Optional)
        .absent("antiquantOffset2Optional", antiquantOffset2Optional);
    const std::string_view name = front::text_of(activation, "");
    call.check.that(name == "relu" || name == "gelu" || name == "silu",
                    "activation is \"{}\", relu, gelu or silu wanted", name);
    call.check.range("innerPrecise", innerPrecise, 0, 1).rank("x", given.x, 2, 8).rank("weight1", given.weight1, 2, 3);
    call.op.build = [given, kept = std::string(name)](front::Chain& chain) { front::run_layers(chain, given, kept); };
  });
}

aclnnStatus aclnnFFNV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnGroupedMatmulSwigluQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* weight,
                                                          const aclTensor* bias, const aclTensor* offset,
                                                          const aclTensor* weightScale, const aclTensor* xScale,
                                                          const aclTensor* groupList, aclTensor* output,
                                                          aclTensor* outputScale, aclTensor* outputOffset,
                                                          uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnGroupedMatmulSwigluQuant", workspaceSize, executor, [&](auto& call) {
    const tandem::TensorView& rows = call.needed("x", x);
    int64_t panel = 0;
    const tandem::TensorView& experts = call.weight_of("weight", weight, panel);
    const bool packed = weight != nullptr && weight->format == ACL_FORMAT_FRACTAL_NZ;
    const tandem::TensorView& dequant = call.needed("weightScale", weightScale);
    const tandem::TensorView& token = call.needed("xScale", xScale);
    const tandem::TensorView& group = call.needed("groupList", groupList);
    const tandem::TensorView& y = call.result("output", output);
    const tandem::TensorView& scale = call.result("outputScale", outputScale);
    call.absent("bias", bias).absent("offset", offset).absent("outputOffset", outputOffset);
    call.check.rank("x", rows, 2, 2).rank("weightScale", dequant, 2, 2).rank("weight", experts, 3, 5);
    call.op.build = [&, panel, packed](front::Chain& chain) {
      const auto sums = chain.temporary(tandem::DType::f32, {rows.dim(0), dequant.dim(1)});
      const auto matrices = front::matrices(chain, experts, panel, packed);
      chain.then(tandem::GroupedMatmul{
          .x = {rows}, .weight = {matrices}, .dequant = {dequant}, .token = {token}, .y = {sums}, .group = group});
      const auto rows_of_gates = front::gated(chain, sums, true);
      chain.then(tandem::DynamicQuant{.x = rows_of_gates, .y = y, .scale = scale});
    };
  });
}

aclnnStatus aclnnGroupedMatmulSwigluQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
