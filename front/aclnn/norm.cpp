// SPDX-License-Identifier: Apache-2.0
// RmsNorm and its relatives: translation to rms_norm, rms_norm_quant and rms_norm_dynamic_quant.
#include "tandem/ops/norm.h"
#include "aclnnop/aclnn_add_rms_norm.h"
#include "aclnnop/aclnn_add_rms_norm_cast.h"
#include "aclnnop/aclnn_add_rms_norm_dynamic_quant.h"
#include "aclnnop/aclnn_add_rms_norm_dynamic_quant_v2.h"
#include "aclnnop/aclnn_add_rms_norm_quant.h"
#include "aclnnop/aclnn_add_rms_norm_quant_v2.h"
#include "aclnnop/aclnn_inplace_add_rms_norm.h"
#include "aclnnop/aclnn_rms_norm.h"
#include "aclnnop/aclnn_rms_norm_quant.h"
#include "front/aclnn/chain.h"
#include "tandem/ops/elementwise.h"

namespace tandem::front {
namespace {

struct Scales {
  const aclTensor *scale1, *scale2, *offset1, *offset2, *y1, *y2;
};

// A vector given as one row of a matrix.
void flatten_row(TensorView& vector) {
  if (vector.rank == 2 && vector.dim(0) == 1 && vector.contiguous()) vector = reshaped(vector, {vector.dim(1)});
}

// Without a second scale there is no second result, whatever tensor was passed for it.
void bind_scales(Call<RmsNormQuant>& call, const Scales& given) {
  call.in("scales1", call.op.scale1, given.scale1).in("scales2Optional", call.op.scale2, given.scale2);
  call.in("zeroPoints1Optional", call.op.offset1, given.offset1);
  call.in("zeroPoints2Optional", call.op.offset2, given.offset2).out("y1Out", call.op.y1, given.y1);
  call.out("y2Out", call.op.y2, given.scale2 == nullptr ? nullptr : given.y2);
}

bool wants_second(const aclBoolArray* mask, const aclTensor* smooth) {
  if (mask == nullptr || mask->values.size() < 2) return smooth != nullptr;
  return mask->values[1] != 0;
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnRmsNormGetWorkspaceSize(const aclTensor* x, const aclTensor* gamma, double epsilon,
                                         const aclTensor* yOut, const aclTensor* rstdOut, uint64_t* workspaceSize,
                                         aclOpExecutor** executor) {
  return translate<tandem::RmsNorm>("aclnnRmsNorm", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x)
        .in("gamma", call.op.gamma, gamma)
        .out("yOut", call.op.y, yOut)
        .out("rstdOut", call.op.rstd, rstdOut);
    call.op.epsilon = epsilon;
  });
}

aclnnStatus aclnnRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddRmsNormGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma,
                                            double epsilon, const aclTensor* yOut, const aclTensor* rstdOut,
                                            const aclTensor* xOut, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::RmsNorm>("aclnnAddRmsNorm", workspaceSize, executor, [&](auto& call) {
    call.in("x1", call.op.x, x1).need("x2", call.op.residual, x2).in("gamma", call.op.gamma, gamma);
    call.out("yOut", call.op.y, yOut).out("rstdOut", call.op.rstd, rstdOut).out("xOut", call.op.sum, xOut);
    call.check.present("xOut", rstdOut == nullptr || xOut != nullptr);
    call.op.epsilon = epsilon;
  });
}

aclnnStatus aclnnAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceAddRmsNormGetWorkspaceSize(aclTensor* x1Ref, aclTensor* x2Ref, const aclTensor* gamma,
                                                   double epsilon, const aclTensor* rstdOut, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor) {
  return translate<tandem::RmsNorm>("aclnnInplaceAddRmsNorm", workspaceSize, executor, [&](auto& call) {
    call.in("x1Ref", call.op.x, x1Ref).need("x2Ref", call.op.residual, x2Ref).in("gamma", call.op.gamma, gamma);
    call.out("x1Ref", call.op.y, x1Ref).out("rstdOut", call.op.rstd, rstdOut).out("x2Ref", call.op.sum, x2Ref);
    call.op.epsilon = epsilon;
  });
}

aclnnStatus aclnnInplaceAddRmsNorm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddRmsNormCastGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma,
                                                double epsilon, const aclTensor* y1Out, const aclTensor* y2Out,
                                                const aclTensor* rstdOut, const aclTensor* xOut,
                                                uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<front::Steps>("aclnnAddRmsNormCast", workspaceSize, executor, [&](auto& call) {
    const tandem::TensorView& a = call.needed("x1", x1);
    const tandem::TensorView& b = call.needed("x2", x2);
    const tandem::TensorView& weight = call.needed("gamma", gamma);
    const tandem::TensorView& wide = call.result("y1Out", y1Out);
    const tandem::TensorView& narrow = call.result("y2Out", y2Out);
    const tandem::TensorView& rstd = call.optional_result("rstdOut", rstdOut);
    const tandem::TensorView& sum = call.result("xOut", xOut);
    call.check.dtype("x1", a, {tandem::DType::f16, tandem::DType::bf16}).dtype("y1Out", wide, {tandem::DType::f32});
    call.op.build = [&, epsilon](front::Chain& chain) {
      using tandem::DType;
      const auto left = chain.temporary_like(a, DType::f32), right = chain.temporary_like(b, DType::f32);
      const auto total = chain.temporary_like(a, DType::f32);
      chain.then(tandem::Cast{a, left});
      chain.then(tandem::Cast{b, right});
      const auto factors = chain.temporary_like(weight, DType::f32);
      chain.then(tandem::Cast{weight, factors});
      chain.then(tandem::RmsNorm{left, right, factors, wide, total, rstd, epsilon});
      chain.then(tandem::Cast{wide, narrow});
      chain.then(tandem::Cast{total, sum});
    };
  });
}

aclnnStatus aclnnAddRmsNormCast(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddRmsNormQuantGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma,
                                                 const aclTensor* scales1, const aclTensor* scales2Optional,
                                                 const aclTensor* zeroPoints1Optional,
                                                 const aclTensor* zeroPoints2Optional, int64_t axis, double epsilon,
                                                 bool divMode, const aclTensor* y1Out, const aclTensor* y2Out,
                                                 const aclTensor* xOut, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor) {
  return translate<tandem::RmsNormQuant>("aclnnAddRmsNormQuant", workspaceSize, executor, [&](auto& call) {
    call.in("x1", call.op.x, x1).need("x2", call.op.residual, x2).in("gamma", call.op.gamma, gamma);
    front::bind_scales(call, {scales1, scales2Optional, zeroPoints1Optional, zeroPoints2Optional, y1Out, y2Out});
    call.out("xOut", call.op.sum, xOut).check.range("axis", axis, -1, -1);
    call.op.epsilon = epsilon;
    call.op.divide = divMode;
  });
}

aclnnStatus aclnnAddRmsNormQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddRmsNormQuantV2GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma,
                                                   const aclTensor* scales1, const aclTensor* scales2Optional,
                                                   const aclTensor* zeroPoints1Optional,
                                                   const aclTensor* zeroPoints2Optional, const aclTensor* betaOptional,
                                                   int64_t axis, double epsilon, bool divMode, const aclTensor* y1Out,
                                                   const aclTensor* y2Out, const aclTensor* xOut,
                                                   const aclTensor* rmsNormOut, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor) {
  return translate<tandem::RmsNormQuant>("aclnnAddRmsNormQuantV2", workspaceSize, executor, [&](auto& call) {
    call.in("x1", call.op.x, x1).need("x2", call.op.residual, x2).in("gamma", call.op.gamma, gamma);
    front::bind_scales(call, {scales1, scales2Optional, zeroPoints1Optional, zeroPoints2Optional, y1Out, y2Out});
    call.in("betaOptional", call.op.beta, betaOptional)
        .out("xOut", call.op.sum, xOut)
        .out("rmsNormOut", call.op.norm, rmsNormOut);
    call.check.range("axis", axis, -1, -1);
    call.op.epsilon = epsilon;
    call.op.divide = divMode;
  });
}

aclnnStatus aclnnAddRmsNormQuantV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnRmsNormQuantGetWorkspaceSize(const aclTensor* x, const aclTensor* gamma, const aclTensor* beta,
                                              const aclTensor* scale, const aclTensor* offset, double epsilon,
                                              const aclTensor* y, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::RmsNormQuant>("aclnnRmsNormQuant", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x).in("gamma", call.op.gamma, gamma).in("beta", call.op.beta, beta);
    call.in("scale", call.op.scale1, scale).in("offset", call.op.offset1, offset).out("y", call.op.y1, y);
    front::flatten_row(call.op.gamma);
    front::flatten_row(call.op.beta);
    call.op.epsilon = epsilon;
    call.op.divide = true;
  });
}

aclnnStatus aclnnRmsNormQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddRmsNormDynamicQuantGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                        const aclTensor* gamma, const aclTensor* smoothScale1Optional,
                                                        const aclTensor* smoothScale2Optional, double epsilon,
                                                        const aclTensor* y1Out, const aclTensor* y2Out,
                                                        const aclTensor* xOut, const aclTensor* scale1Out,
                                                        const aclTensor* scale2Out, uint64_t* workspaceSize,
                                                        aclOpExecutor** executor) {
  return translate<tandem::RmsNormDynamicQuant>(
      "aclnnAddRmsNormDynamicQuant", workspaceSize, executor, [&](auto& call) {
        call.in("x1", call.op.x, x1).need("x2", call.op.residual, x2).in("gamma", call.op.gamma, gamma);
        call.in("smoothScale1Optional", call.op.smooth1, smoothScale1Optional).out("y1Out", call.op.y1, y1Out);
        if (smoothScale2Optional != nullptr) {
          call.in("smoothScale2Optional", call.op.smooth2, smoothScale2Optional).out("y2Out", call.op.y2, y2Out);
        }
        call.out("xOut", call.op.sum, xOut).out("scale1Out", call.op.row_scale1, scale1Out);
        if (smoothScale2Optional != nullptr) call.out("scale2Out", call.op.row_scale2, scale2Out);
        call.op.epsilon = epsilon;
      });
}

aclnnStatus aclnnAddRmsNormDynamicQuant(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddRmsNormDynamicQuantV2GetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* gamma, const aclTensor* smoothScale1Optional,
    const aclTensor* smoothScale2Optional, const aclTensor* betaOptional, double epsilon,
    const aclBoolArray* outputMask, const aclTensor* y1Out, const aclTensor* y2Out, const aclTensor* xOut,
    const aclTensor* scale1Out, const aclTensor* scale2Out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::RmsNormDynamicQuant>(
      "aclnnAddRmsNormDynamicQuantV2", workspaceSize, executor, [&](auto& call) {
        const bool second = front::wants_second(outputMask, smoothScale2Optional);
        call.in("x1", call.op.x, x1).need("x2", call.op.residual, x2).in("gamma", call.op.gamma, gamma);
        call.in("smoothScale1Optional", call.op.smooth1, smoothScale1Optional).out("y1Out", call.op.y1, y1Out);
        if (second)
          call.in("smoothScale2Optional", call.op.smooth2, smoothScale2Optional).out("y2Out", call.op.y2, y2Out);
        call.in("betaOptional", call.op.beta, betaOptional).out("xOut", call.op.sum, xOut);
        call.out("scale1Out", call.op.row_scale1, scale1Out);
        if (second) call.out("scale2Out", call.op.row_scale2, scale2Out);
        call.op.epsilon = epsilon;
      });
}

aclnnStatus aclnnAddRmsNormDynamicQuantV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                          aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
