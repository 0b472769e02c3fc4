// SPDX-License-Identifier: Apache-2.0
// Element by element: translation to cast, activation, arithmetic, swiglu and softmax.
#include "tandem/ops/elementwise.h"
#include "aclnnop/aclnn_add.h"
#include "aclnnop/aclnn_cast.h"
#include "aclnnop/aclnn_div.h"
#include "aclnnop/aclnn_gelu.h"
#include "aclnnop/aclnn_mul.h"
#include "aclnnop/aclnn_silu.h"
#include "aclnnop/aclnn_softmax.h"
#include "aclnnop/aclnn_sub.h"
#include "aclnnop/aclnn_swi_glu.h"
#include "front/aclnn/translate.h"

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnCastGetWorkspaceSize(const aclTensor* self, aclDataType dtype, const aclTensor* out,
                                      uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Cast>("aclnnCast", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.x, self).out("out", call.op.y, out);
    call.check.that(dtype != ACL_BOOL, "dtype is {}, a number's wanted", static_cast<int>(dtype));
    call.check.that(out == nullptr || out->type == static_cast<int>(dtype), "out {} has another dtype than {} (dtype)",
                    call.op.y.describe(), static_cast<int>(dtype));
  });
}

aclnnStatus aclnnCast(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnSiluGetWorkspaceSize(const aclTensor* self, const aclTensor* out, uint64_t* workspaceSize,
                                      aclOpExecutor** executor) {
  return translate<tandem::Activation>("aclnnSilu", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.x, self).out("out", call.op.y, out);
    call.op.op = tandem::Unary::silu;
  });
}

aclnnStatus aclnnSilu(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnGeluGetWorkspaceSize(const aclTensor* self, const aclTensor* out, uint64_t* workspaceSize,
                                      aclOpExecutor** executor) {
  return translate<tandem::Activation>("aclnnGelu", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.x, self).out("out", call.op.y, out);
    call.op.op = tandem::Unary::gelu;
  });
}

aclnnStatus aclnnGelu(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnSwiGluGetWorkspaceSize(const aclTensor* x, int64_t dim, const aclTensor* out, uint64_t* workspaceSize,
                                        aclOpExecutor** executor) {
  return translate<tandem::Swiglu>("aclnnSwiGlu", workspaceSize, executor, [&](auto& call) {
    call.in("x", call.op.x, x).out("out", call.op.y, out);
    call.op.dim = dim;
  });
}

aclnnStatus aclnnSwiGlu(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnSoftmaxGetWorkspaceSize(const aclTensor* self, int64_t dim, const aclTensor* out,
                                         uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Softmax>("aclnnSoftmax", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.x, self).out("out", call.op.y, out);
    call.op.dim = dim;
  });
}

aclnnStatus aclnnSoftmax(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAddGetWorkspaceSize(const aclTensor* self, const aclTensor* other, const aclScalar* alpha,
                                     const aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Arithmetic>("aclnnAdd", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.a, self)
        .in("other", call.op.b, other)
        .out("out", call.op.y, out)
        .check.present("alpha", alpha != nullptr);
    call.op.op = tandem::Binary::add;
    call.op.alpha = front::value_of(alpha);
  });
}

aclnnStatus aclnnAdd(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnInplaceAddGetWorkspaceSize(const aclTensor* selfRef, const aclTensor* other, const aclScalar* alpha,
                                            uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Arithmetic>("aclnnInplaceAdd", workspaceSize, executor, [&](auto& call) {
    call.in("selfRef", call.op.a, selfRef).in("other", call.op.b, other).out("selfRef", call.op.y, selfRef);
    call.check.present("alpha", alpha != nullptr);
    call.op.op = tandem::Binary::add;
    call.op.alpha = front::value_of(alpha);
  });
}

aclnnStatus aclnnInplaceAdd(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnSubGetWorkspaceSize(const aclTensor* self, const aclTensor* other, const aclScalar* alpha,
                                     const aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Arithmetic>("aclnnSub", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.a, self)
        .in("other", call.op.b, other)
        .out("out", call.op.y, out)
        .check.present("alpha", alpha != nullptr);
    call.op.op = tandem::Binary::subtract;
    call.op.alpha = front::value_of(alpha);
  });
}

aclnnStatus aclnnSub(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMulGetWorkspaceSize(const aclTensor* self, const aclTensor* other, const aclTensor* out,
                                     uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Arithmetic>("aclnnMul", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.a, self).in("other", call.op.b, other).out("out", call.op.y, out);
    call.op.op = tandem::Binary::multiply;
  });
}

aclnnStatus aclnnMul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnDivGetWorkspaceSize(const aclTensor* self, const aclTensor* other, const aclTensor* out,
                                     uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Arithmetic>("aclnnDiv", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.a, self).in("other", call.op.b, other).out("out", call.op.y, out);
    call.op.op = tandem::Binary::divide;
  });
}

aclnnStatus aclnnDiv(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMulsGetWorkspaceSize(const aclTensor* self, const aclScalar* other, const aclTensor* out,
                                      uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::Activation>("aclnnMuls", workspaceSize, executor, [&](auto& call) {
    call.in("self", call.op.x, self).out("out", call.op.y, out).check.present("other", other != nullptr);
    call.op.op = tandem::Unary::scale;
    call.op.alpha = front::value_of(other);
  });
}

aclnnStatus aclnnMuls(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
