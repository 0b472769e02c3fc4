// SPDX-License-Identifier: Apache-2.0
// Products of floats: translation to matmul.
#include "tandem/ops/matmul.h"
#include "aclnnop/aclnn_addmm.h"
#include "aclnnop/aclnn_addmv.h"
#include "aclnnop/aclnn_baddbmm.h"
#include "aclnnop/aclnn_batch_matmul.h"
#include "aclnnop/aclnn_dot.h"
#include "aclnnop/aclnn_gemm.h"
#include "aclnnop/aclnn_matmul.h"
#include "aclnnop/aclnn_mm.h"
#include "aclnnop/aclnn_mv.h"
#include "front/aclnn/translate.h"

namespace tandem::front {
namespace {

void bind_product(Call<Matmul>& call, const aclTensor* a, const aclTensor* b, const aclTensor* y,
                  int8_t cube_math_type) {
  call.in("self", call.op.a, a).weight("mat2", call.op.b, call.op.b_panel, b).out("out", call.op.y, y);
  call.check.range("cubeMathType", cube_math_type, 0, 4);
}

void bind_addend(Call<Matmul>& call, const aclTensor* c, const aclScalar* beta, const aclScalar* alpha) {
  call.need("self", call.op.c, c).check.present("beta", beta != nullptr).present("alpha", alpha != nullptr);
  call.op.alpha = value_of(alpha);
  call.op.beta = value_of(beta);
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnMatmulGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, const aclTensor* out,
                                        int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnMatmul", workspaceSize, executor,
                                   [&](auto& call) { front::bind_product(call, self, mat2, out, cubeMathType); });
}

aclnnStatus aclnnMatmul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMmGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, const aclTensor* out,
                                    int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnMm", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, self, mat2, out, cubeMathType);
    call.check.rank("self", call.op.a, 2, 2).rank("mat2", call.op.b, 2, 2);
  });
}

aclnnStatus aclnnMm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnBatchMatMulGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, const aclTensor* out,
                                             int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnBatchMatMul", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, self, mat2, out, cubeMathType);
    call.check.rank("self", call.op.a, 3, 8).rank("mat2", call.op.b, 3, 8);
  });
}

aclnnStatus aclnnBatchMatMul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMvGetWorkspaceSize(const aclTensor* self, const aclTensor* vec, const aclTensor* out,
                                    int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnMv", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, self, vec, out, cubeMathType);
    call.check.rank("self", call.op.a, 2, 2).rank("vec", call.op.b, 1, 1);
  });
}

aclnnStatus aclnnMv(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddmmGetWorkspaceSize(const aclTensor* self, const aclTensor* mat1, const aclTensor* mat2,
                                       const aclScalar* beta, const aclScalar* alpha, const aclTensor* out,
                                       int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnAddmm", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, mat1, mat2, out, cubeMathType);
    front::bind_addend(call, self, beta, alpha);
  });
}

aclnnStatus aclnnAddmm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceAddmmGetWorkspaceSize(const aclTensor* selfRef, const aclTensor* mat1, const aclTensor* mat2,
                                              const aclScalar* beta, const aclScalar* alpha, int8_t cubeMathType,
                                              uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnInplaceAddmm", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, mat1, mat2, selfRef, cubeMathType);
    front::bind_addend(call, selfRef, beta, alpha);
  });
}

aclnnStatus aclnnInplaceAddmm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddmvGetWorkspaceSize(const aclTensor* self, const aclTensor* mat, const aclTensor* vec,
                                       const aclScalar* alpha, const aclScalar* beta, const aclTensor* out,
                                       int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnAddmv", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, mat, vec, out, cubeMathType);
    front::bind_addend(call, self, beta, alpha);
  });
}

aclnnStatus aclnnAddmv(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnBaddbmmGetWorkspaceSize(const aclTensor* self, const aclTensor* batch1, const aclTensor* batch2,
                                         const aclScalar* beta, const aclScalar* alpha, const aclTensor* out,
                                         int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnBaddbmm", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, batch1, batch2, out, cubeMathType);
    front::bind_addend(call, self, beta, alpha);
  });
}

aclnnStatus aclnnBaddbmm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceBaddbmmGetWorkspaceSize(aclTensor* selfRef, const aclTensor* batch1, const aclTensor* batch2,
                                                const aclScalar* beta, const aclScalar* alpha, int8_t cubeMathType,
                                                uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnInplaceBaddbmm", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, batch1, batch2, selfRef, cubeMathType);
    front::bind_addend(call, selfRef, beta, alpha);
  });
}

aclnnStatus aclnnInplaceBaddbmm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnGemmGetWorkspaceSize(const aclTensor* A, const aclTensor* B, const aclTensor* C, float alpha,
                                      float beta, int64_t transA, int64_t transB, const aclTensor* out,
                                      int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnGemm", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, A, B, out, cubeMathType);
    front::transpose_if(transA != 0, call.op.a);
    front::transpose_if(transB != 0, call.op.b);
    call.need("C", call.op.c, C);
    call.op.alpha = static_cast<double>(alpha);
    call.op.beta = static_cast<double>(beta);
  });
}

aclnnStatus aclnnGemm(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMatmulWeightNzGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, const aclTensor* out,
                                                int8_t cubeMathType, uint64_t* workspaceSize,
                                                aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnMatmulWeightNz", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, self, mat2, out, cubeMathType);
    front::want_packed(call.check, "mat2", mat2);
  });
}

aclnnStatus aclnnMatmulWeightNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnBatchMatMulWeightNzGetWorkspaceSize(const aclTensor* self, const aclTensor* mat2, const aclTensor* out,
                                                     int8_t cubeMathType, uint64_t* workspaceSize,
                                                     aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnBatchMatMulWeightNz", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, self, mat2, out, cubeMathType);
    front::want_packed(call.check, "mat2", mat2);
    call.check.rank("self", call.op.a, 3, 8).rank("mat2", call.op.b, 3, 8);
  });
}

aclnnStatus aclnnBatchMatMulWeightNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                     aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddmmWeightNzGetWorkspaceSize(const aclTensor* self, const aclTensor* mat1, const aclTensor* mat2,
                                               const aclScalar* beta, const aclScalar* alpha, const aclTensor* out,
                                               int8_t cubeMathType, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnAddmmWeightNz", workspaceSize, executor, [&](auto& call) {
    front::bind_product(call, mat1, mat2, out, cubeMathType);
    front::want_packed(call.check, "mat2", mat2);
    front::bind_addend(call, self, beta, alpha);
  });
}

aclnnStatus aclnnAddmmWeightNz(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnDotGetWorkspaceSize(const aclTensor* self, const aclTensor* tensor, const aclTensor* out,
                                     uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Matmul>("aclnnDot", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.a, self).in("tensor", call.op.b, tensor).out("out", call.op.y, out);
    call.check.rank("self", call.op.a, 1, 1).rank("tensor", call.op.b, 1, 1);
  });
}

aclnnStatus aclnnDot(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
