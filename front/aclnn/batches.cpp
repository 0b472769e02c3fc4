// SPDX-License-Identifier: Apache-2.0
// Products of batches that are summed or turned: translation to matmul.
#include "aclnnop/aclnn_addbmm.h"
#include "aclnnop/aclnn_baddbmm.h"
#include "aclnnop/aclnn_transpose_batch_mat_mul.h"
#include "front/aclnn/chain.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/movement.h"

namespace tandem::front {
namespace {

struct Sum {
  const aclTensor *self, *batch1, *batch2;
  const aclScalar *beta, *alpha;
  const aclTensor* out;
  int8_t cube_math_type;
};

// The sum over batches is one product over all their k: batch1 as (m, b * k), batch2 as (b * k, n).
void sum_products(Chain& chain, const TensorView& a, const TensorView& b, Matmul product) {
  const int64_t batches = a.dim(0), m = a.dim(1), k = a.dim(2), n = b.dim(2);
  const TensorView left = chain.temporary(a.dtype, {m, batches, k}), right = chain.temporary_like(b, b.dtype);
  chain.then(Copy{permuted(a, {1, 0, 2}), left});
  chain.then(Copy{b, right});
  product.a = reshaped(left, {m, batches * k});
  product.b = reshaped(right, {batches * k, n});
  chain.then(product);
}

void bind_sum(Call<Steps>& call, const Sum& given) {
  const TensorView& a = call.needed("batch1", given.batch1);
  const TensorView& b = call.needed("batch2", given.batch2);
  const TensorView& c = call.needed("self", given.self);
  const TensorView& y = call.result("out", given.out);
  call.check.present("beta", given.beta != nullptr).present("alpha", given.alpha != nullptr);
  call.check.range("cubeMathType", given.cube_math_type, 0, 4).rank("batch1", a, 3, 3).rank("batch2", b, 3, 3);
  if (call.check.failed()) return;
  call.check.that(a.dim(0) == b.dim(0) && a.dim(2) == b.dim(1), "batch2 is {}, [{},{},n] wanted (batch1 {})",
                  b.describe(), a.dim(0), a.dim(2), a.describe());
  const Matmul product{.c = c, .y = y, .alpha = value_of(given.alpha), .beta = value_of(given.beta)};
  call.op.build = [&a, &b, &c, &y, product](Chain& chain) {
    Matmul now = product;
    now.c = c;
    now.y = y;
    sum_products(chain, a, b, now);
  };
}

struct Turned {
  const aclTensor *x1, *x2, *bias, *scale;
  const aclIntArray *order1, *order2, *order_y;
  int8_t cube_math_type;
  int32_t split;
  const aclTensor* out;
};

// permY says where the product's dimensions go, so out is looked at through its inverse.
std::vector<int64_t> inverse(const std::vector<int64_t>& order) {
  std::vector<int64_t> back(order.size());
  for (size_t i = 0; i < order.size(); ++i) back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return back;
}

void bind_turned(Call<Matmul>& call, const Turned& given) {
  call.need("x1", call.op.a, given.x1).out("out", call.op.y, given.out);
  call.check.present("x2", given.x2 != nullptr).present("out", given.out != nullptr);
  call.weight("x2", call.op.b, call.op.b_panel, given.x2).absent("bias", given.bias).absent("scale", given.scale);
  call.check.range("cubeMathType", given.cube_math_type, 0, 4).range("batchSplitFactor", given.split, 1, 1);
  call.check.rank("x1", call.op.a, 3, 3).rank("x2", call.op.b, 3, 3).rank("out", call.op.y, 3, 3);
  check_order(call.check, "permX1", given.order1, 3);
  check_order(call.check, "permX2", given.order2, 3);
  check_order(call.check, "permY", given.order_y, 3);
  if (call.check.failed()) return;
  const auto natural = [](const aclIntArray* order) { return order->values == std::vector<int64_t>{0, 1, 2}; };
  call.check.that(call.op.b_panel == 0 || natural(given.order2), "permX2 turns a FRACTAL_NZ x2, {{0, 1, 2}} wanted");
  for (const aclIntArray* order : {given.order1, given.order2, given.order_y}) {
    for (const int64_t axis : order->values)
      call.check.that(axis >= 0, "an order names dimension {}, 0 to 2 wanted", axis);
  }
  if (call.check.failed()) return;
  call.op.a = permuted(call.op.a, given.order1->values);
  call.op.b = permuted(call.op.b, given.order2->values);
  call.op.y = permuted(call.op.y, inverse(given.order_y->values));
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnAddbmmGetWorkspaceSize(const aclTensor* self, const aclTensor* batch1, const aclTensor* batch2,
                                        const aclScalar* beta, const aclScalar* alpha, aclTensor* out,
                                        int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnAddbmm", workspaceSize, executor, [&](auto& call) {
    front::bind_sum(call, {self, batch1, batch2, beta, alpha, out, cubeMathType});
  });
}

aclnnStatus aclnnAddbmm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceAddbmmGetWorkspaceSize(aclTensor* selfRef, const aclTensor* batch1, const aclTensor* batch2,
                                               const aclScalar* beta, const aclScalar* alpha, int8_t cubeMathType,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnInplaceAddbmm", workspaceSize, executor, [&](auto& call) {
    front::bind_sum(call, {selfRef, batch1, batch2, beta, alpha, selfRef, cubeMathType});
  });
}

aclnnStatus aclnnInplaceAddbmm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnTransposeBatchMatMulGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                                      const aclTensor* scale, const aclIntArray* permX1,
                                                      const aclIntArray* permX2, const aclIntArray* permY,
                                                      int8_t cubeMathType, int32_t batchSplitFactor, aclTensor* out,
                                                      uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnTransposeBatchMatMul", workspaceSize, executor, [&](auto& call) {
    front::bind_turned(call, {x1, x2, bias, scale, permX1, permX2, permY, cubeMathType, batchSplitFactor, out});
  });
}

aclnnStatus aclnnTransposeBatchMatMul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                      aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnTransposeBatchMatMulWeightNzGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                              const aclTensor* bias, const aclTensor* scale,
                                                              const aclIntArray* permX1, const aclIntArray* permX2,
                                                              const aclIntArray* permY, int8_t cubeMathType,
                                                              int32_t batchSplitFactor, aclTensor* out,
                                                              uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnTransposeBatchMatMulWeightNz", workspaceSize, executor, [&](auto& call) {
    front::bind_turned(call, {x1, x2, bias, scale, permX1, permX2, permY, cubeMathType, batchSplitFactor, out});
    front::want_packed(call.check, "x2", x2);
  });
}

aclnnStatus aclnnTransposeBatchMatMulWeightNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                              aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
