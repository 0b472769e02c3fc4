// SPDX-License-Identifier: Apache-2.0
// Products with a collective and without a tail: translation to mm_all_reduce, mm_reduce_scatter and all_gather_mm.
#include "aclnnop/aclnn_all_gather_matmul.h"
#include "aclnnop/aclnn_all_gather_matmul_v2.h"
#include "aclnnop/aclnn_matmul_all_reduce.h"
#include "aclnnop/aclnn_matmul_all_reduce_v2.h"
#include "aclnnop/aclnn_matmul_all_reduce_v3.h"
#include "aclnnop/aclnn_matmul_reduce_scatter.h"
#include "aclnnop/aclnn_matmul_reduce_scatter_v2.h"
#include "aclnnop/aclnn_quant_matmul_all_reduce.h"
#include "aclnnop/aclnn_quant_matmul_all_reduce_v2.h"
#include "aclnnop/aclnn_quant_matmul_all_reduce_v3.h"
#include "aclnnop/aclnn_weight_quant_matmul_all_reduce.h"
#include "aclnnop/aclnn_weight_quant_matmul_all_reduce_v2.h"

#include <algorithm>

#include "front/acl/product.h"
#include "front/aclnn/translate.h"
#include "tandem/comm/communicator.h"
#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/mm_all_reduce.h"
#include "tandem/ops/mm_reduce_scatter.h"

namespace tandem::front {
namespace {

struct Operands {
  const aclTensor *x1, *x2, *bias, *x3, *y;
};

struct Grouped {
  const char *group, *reduce_op;
  int64_t comm_turn, stream_mode;
};

struct Antiquant {
  const aclTensor *scale, *offset;
  int64_t group_size;
};

// The library takes any strides; the vendor's interface takes a transposed x2 and nothing else.
void check_layouts(Check& check, const MmAllReduce& op) {
  check.contiguous("x1", op.x1).contiguous("bias", op.bias).contiguous("x3", op.x3);
  const TensorView& x2 = op.x2;
  const bool plain = check.failed() || x2.rank != 2 || x2.contiguous() || x2.transposed().contiguous();
  check.that(plain, "x2 {} has strides [{},{}], a row-major or transposed matrix wanted", x2.describe(), x2.step(0),
             x2.step(1));
}

void bind_operands(MmAllReduce& op, Arguments& call, const Operands& given) {
  call.need("x1", op.x1, given.x1).check.present("x2", given.x2 != nullptr);
  call.weight("x2", op.x2, op.x2_panel, given.x2).in("bias", op.bias, given.bias);
  call.in("x3", op.x3, given.x3).check.present("output", given.y != nullptr);
  call.out("output", op.y, given.y);
  if (call.check.failed()) return;
  call.check.rank("x1", op.x1, 2, 3).rank("x2", op.x2, 2, 2).rank("bias", op.bias, 1, 1);
  check_layouts(call.check, op);
  call.check.same_dtype("x3", op.x3, "output", op.y.dtype);
  if (op.x3.present()) call.check.same_shape("x3", op.x3, "output", op.y);
}

void bind_floats(MmAllReduce& op, Arguments& call, const Operands& given) {
  bind_operands(op, call, given);
  call.check.dtype("x1", op.x1, {DType::f16, DType::bf16}).same_dtype("x2", op.x2, "x1", op.x1.dtype);
  call.check.same_dtype("bias", op.bias, "x1", op.x1.dtype).same_dtype("output", op.y, "x1", op.x1.dtype);
}

// What the all-reduce forms ask of their shapes.
void refuse_empty(Call<MmAllReduce>& call, int64_t least_k) {
  if (call.check.failed()) return;
  const TensorView &x1 = call.op.x1, &y = call.op.y;
  const bool like_x1 = y.rank == x1.rank && std::equal(y.shape.begin(), y.shape.begin() + y.rank - 1, x1.shape.begin());
  call.check.that(like_x1, "output is {}, the dimensions of x1 {} but for the last wanted", y.describe(),
                  x1.describe());
  call.check.that(call.op.y.elements() > 0, "output {} is empty, at least one element wanted", call.op.y.describe());
  call.check.that(call.op.x1.dim(-1) >= least_k, "x1 {} has k = 0, at least 1 wanted", call.op.x1.describe());
}

void bind_floats(Call<MmAllReduce>& call, const Operands& given) {
  bind_floats(call.op, call, given);
  refuse_empty(call, 0);
}

// The scale's dtype follows from the output's and from a scale per token.
void bind_integers(Call<MmAllReduce>& call, const Operands& given, const aclTensor* scale, const aclTensor* token) {
  MmAllReduce& op = call.op;
  bind_operands(op, call, given);
  refuse_empty(call, 1);
  auto& quant = op.quant.emplace<Int8Scale>();
  call.need("dequantScale", quant.channel, scale).in("pertokenScaleOptional", quant.token, token);
  if (call.check.failed()) return;
  call.check.dtype("output", op.y, {DType::f16, DType::bf16}).rank("dequantScale", quant.channel, 1, 2);
  call.check.dtype("bias", op.bias, {DType::i32});
  call.check.rank("pertokenScaleOptional", quant.token, 1, 1).contiguous("dequantScale", quant.channel);
  call.check.contiguous("pertokenScaleOptional", quant.token);
  if (op.y.dtype == DType::bf16) {
    call.check.dtype("dequantScale", quant.channel, {DType::bf16});
  } else if (quant.token.present()) {
    call.check.dtype("dequantScale", quant.channel, {DType::f32});
  } else if (strict() || quant.channel.dtype != DType::f16) {
    call.check.dtype("dequantScale", quant.channel, {DType::i64, DType::u64});
  }
}

struct WireScales {
  const aclTensor *first, *second;
};

// Both or none.
void bind_wire(Call<MmAllReduce>& call, const WireScales& given) {
  constexpr std::string_view kFirst = "commQuantScale1Optional", kSecond = "commQuantScale2Optional";
  if (given.first == nullptr && given.second == nullptr) return;
  MmAllReduce& op = call.op;
  call.check.that(given.first != nullptr, "{} is null, one beside {} wanted", kFirst, kSecond);
  call.check.that(given.second != nullptr, "{} is null, one beside {} wanted", kSecond, kFirst);
  auto& wire = op.wire.emplace();
  call.in(kFirst, wire.first, given.first).in(kSecond, wire.second, given.second);
  for (const auto& [name, scale] : {std::pair{kFirst, &wire.first}, std::pair{kSecond, &wire.second}}) {
    call.check.same_dtype(name, *scale, "output", op.y.dtype).rank(name, *scale, 1, 2).contiguous(name, *scale);
    if (call.check.failed()) return;
    const int64_t n = op.y.dim(-1);
    call.check.that(scale->dim(-1) == n && scale->elements() == n, "{} is {}, [{}] or [1,{}] wanted", name,
                    scale->describe(), n, n);
  }
}

void bind_weights(Call<MmAllReduce>& call, const Operands& given, const Antiquant& antiquant) {
  MmAllReduce& op = call.op;
  bind_operands(op, call, given);
  refuse_empty(call, 1);
  auto& quant = op.quant.emplace<WeightScale>();
  quant.group = antiquant.group_size;
  call.need("antiquantScale", quant.scale, antiquant.scale).in("antiquantOffset", quant.offset, antiquant.offset);
  if (call.check.failed()) return;
  unpack_words(op.x2);
  const int64_t k = op.x1.dim(-1), group = quant.group;
  call.check.dtype("x1", op.x1, {DType::f16, DType::bf16}).same_dtype("output", op.y, "x1", op.x1.dtype);
  call.check.same_dtype("antiquantScale", quant.scale, "x1", op.x1.dtype)
      .same_dtype("bias", op.bias, "x1", op.x1.dtype);
  call.check.that(group == 0 || (group % 32 == 0 && group > 0 && group < k),
                  "antiquantGroupSize is {}, 0 or a multiple of 32 below k = {} wanted", group, k);
}

// Floats, or int8 with scales.
void bind_either(MmAllReduce& op, Arguments& call, const Operands& given, const aclTensor* token,
                 const aclTensor* channel) {
  const bool integers = given.x1 != nullptr && given.x1->view.dtype == DType::i8;
  if (!integers) {
    call.absent("x1Scale", token).absent("x2Scale", channel);
    return bind_floats(op, call, given);
  }
  bind_operands(op, call, given);
  auto& quant = op.quant.emplace<Int8Scale>();
  call.need("x2Scale", quant.channel, channel).in("x1Scale", quant.token, token);
  call.check.dtype("x2Scale", quant.channel, {DType::f32}).dtype("output", op.y, {DType::f16, DType::bf16});
}

// What the vendor's page allows on the product.
void check_product(Arguments& call, std::string_view operation, DType dtype) {
  if (call.check.failed()) return;
  const auto comm = Communicator::find(call.group, call.device.index());
  if (!comm) return;  // plan() says so
  const std::string limit = refused_by_product({operation, dtype, (*comm)->size()});
  call.check.that(limit.empty(), "group: {}", limit);
}

void bind_group(MmAllReduce& op, Arguments& call, const Grouped& given, std::string_view operation = "mm_all_reduce") {
  constexpr size_t kMostGroupName = 127;
  call.check.present("group", given.group != nullptr).present("reduceOp", given.reduce_op != nullptr);
  if (call.check.failed()) return;
  call.group = given.group;
  op.group = call.group;
  call.check.that(call.group.size() <= kMostGroupName, "group has {} characters, at most 127 wanted",
                  call.group.size());
  call.check.that(std::string_view(given.reduce_op) == "sum", "reduceOp is \"{}\", \"sum\" wanted", given.reduce_op);
  call.check.range("commTurn", given.comm_turn, 0, 0).range("streamMode", given.stream_mode, 1, 1);
  check_product(call, operation, op.x1.dtype);
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;
using front::launch;
using front::translate;

extern "C" {

aclnnStatus aclnnMatmulAllReduceGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                                 const char* group, const char* reduceOp, int64_t commTurn,
                                                 int64_t streamMode, const aclTensor* output, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor) {
  return translate<tandem::MmAllReduce>("aclnnMatmulAllReduce", workspaceSize, executor, [&](auto& call) {
    front::bind_floats(call, {x1, x2, bias, nullptr, output});
    front::bind_group(call.op, call, {group, reduceOp, commTurn, streamMode});
  });
}

aclnnStatus aclnnMatmulAllReduce(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                 const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMatmulAllReduceV2GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                                   const aclTensor* x3, const char* group, const char* reduceOp,
                                                   int64_t commTurn, int64_t streamMode, const aclTensor* output,
                                                   uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MmAllReduce>("aclnnMatmulAllReduceV2", workspaceSize, executor, [&](auto& call) {
    front::bind_floats(call, {x1, x2, bias, x3, output});
    front::bind_group(call.op, call, {group, reduceOp, commTurn, streamMode});
  });
}

aclnnStatus aclnnMatmulAllReduceV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMatmulAllReduceV3GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                                   const aclTensor* x3, const char* group, const char* reduceOp,
                                                   [[maybe_unused]] const char* commMode, int64_t commTurn,
                                                   int64_t streamMode, const aclTensor* output, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor) {
  return translate<tandem::MmAllReduce>("aclnnMatmulAllReduceV3", workspaceSize, executor, [&](auto& call) {
    front::bind_floats(call, {x1, x2, bias, x3, output});
    front::bind_group(call.op, call, {group, reduceOp, commTurn, streamMode});
  });
}

aclnnStatus aclnnMatmulAllReduceV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulAllReduceGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                                      const aclTensor* x3, const aclTensor* dequantScale,
                                                      const char* group, const char* reduceOp, int64_t commTurn,
                                                      int64_t streamMode, const aclTensor* output,
                                                      uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MmAllReduce>("aclnnQuantMatmulAllReduce", workspaceSize, executor, [&](auto& call) {
    front::bind_integers(call, {x1, x2, bias, x3, output}, dequantScale, nullptr);
    front::bind_group(call.op, call, {group, reduceOp, commTurn, streamMode});
  });
}

aclnnStatus aclnnQuantMatmulAllReduce(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                      const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulAllReduceV2GetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* biasOptional, const aclTensor* x3Optional,
    const aclTensor* dequantScale, const aclTensor* pertokenScaleOptional, const char* group, const char* reduceOp,
    int64_t commTurn, int64_t streamMode, const aclTensor* output, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MmAllReduce>("aclnnQuantMatmulAllReduceV2", workspaceSize, executor, [&](auto& call) {
    front::bind_integers(call, {x1, x2, biasOptional, x3Optional, output}, dequantScale, pertokenScaleOptional);
    front::bind_group(call.op, call, {group, reduceOp, commTurn, streamMode});
  });
}

aclnnStatus aclnnQuantMatmulAllReduceV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnQuantMatmulAllReduceV3GetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* biasOptional, const aclTensor* x3Optional,
    const aclTensor* dequantScale, const aclTensor* pertokenScaleOptional, const aclTensor* commQuantScale1Optional,
    const aclTensor* commQuantScale2Optional, const char* group, const char* reduceOp, int64_t commTurn,
    int64_t streamMode, const aclTensor* output, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MmAllReduce>("aclnnQuantMatmulAllReduceV3", workspaceSize, executor, [&](auto& call) {
    front::bind_integers(call, {x1, x2, biasOptional, x3Optional, output}, dequantScale, pertokenScaleOptional);
    front::bind_wire(call, {commQuantScale1Optional, commQuantScale2Optional});
    front::bind_group(call.op, call, {group, reduceOp, commTurn, streamMode});
  });
}

aclnnStatus aclnnQuantMatmulAllReduceV3(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                        const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnWeightQuantMatmulAllReduceGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2,
                                                            const aclTensor* bias, const aclTensor* antiquantScale,
                                                            const aclTensor* antiquantOffset, const aclTensor* x3,
                                                            const char* group, const char* reduceOp, int64_t commTurn,
                                                            int64_t streamMode, int64_t antiquantGroupSize,
                                                            const aclTensor* output, uint64_t* workspaceSize,
                                                            aclOpExecutor** executor) {
  return translate<tandem::MmAllReduce>("aclnnWeightQuantMatmulAllReduce", workspaceSize, executor, [&](auto& call) {
    front::bind_weights(call, {x1, x2, bias, x3, output}, {antiquantScale, antiquantOffset, antiquantGroupSize});
    front::bind_group(call.op, call, {group, reduceOp, commTurn, streamMode});
  });
}

aclnnStatus aclnnWeightQuantMatmulAllReduce(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                            const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnWeightQuantMatmulAllReduceV2GetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* antiquantScale,
    const aclTensor* antiquantOffset, const aclTensor* x3, const char* group, const char* reduceOp,
    [[maybe_unused]] const char* commMode, int64_t commTurn, int64_t streamMode, int64_t antiquantGroupSize,
    const aclTensor* output, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MmAllReduce>("aclnnWeightQuantMatmulAllReduceV2", workspaceSize, executor, [&](auto& call) {
    front::bind_weights(call, {x1, x2, bias, x3, output}, {antiquantScale, antiquantOffset, antiquantGroupSize});
    front::bind_group(call.op, call, {group, reduceOp, commTurn, streamMode});
  });
}

aclnnStatus aclnnWeightQuantMatmulAllReduceV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                              const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMatmulReduceScatterGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                                     const char* group, const char* reduceOp, int64_t commTurn,
                                                     int64_t streamMode, const aclTensor* output,
                                                     uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MmReduceScatter>("aclnnMatmulReduceScatter", workspaceSize, executor, [&](auto& call) {
    front::bind_floats(call.op.product, call, {x1, x2, bias, nullptr, output});
    front::bind_group(call.op.product, call, {group, reduceOp, commTurn, streamMode}, "mm_reduce_scatter");
    call.check.rank("x1", call.op.product.x1, 2, 2);
  });
}

aclnnStatus aclnnMatmulReduceScatter(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                     const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAllGatherMatmulGetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                                 const char* group, int64_t gatherIndex, int64_t commTurn,
                                                 int64_t streamMode, const aclTensor* output,
                                                 const aclTensor* gatherOut, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor) {
  return translate<tandem::AllGatherMm>("aclnnAllGatherMatmul", workspaceSize, executor, [&](auto& call) {
    front::bind_floats(call.op.product, call, {x1, x2, bias, nullptr, output});
    call.out("gatherOut", call.op.gathered, gatherOut);
    front::bind_group(call.op.product, call, {group, "sum", commTurn, streamMode}, "all_gather_mm");
    call.check.rank("x1", call.op.product.x1, 2, 2).range("gatherIndex", gatherIndex, 0, 0);
  });
}

aclnnStatus aclnnAllGatherMatmul(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                 const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnMatmulReduceScatterV2GetWorkspaceSize(
    const aclTensor* x1, const aclTensor* x2, const aclTensor* bias, const aclTensor* x1Scale, const aclTensor* x2Scale,
    const aclTensor* quantScale, int64_t blockSize, const char* group, const char* reduceOp, int64_t commTurn,
    int64_t streamMode, int64_t groupSize, [[maybe_unused]] const char* commMode, aclTensor* output,
    aclTensor* amaxOutOptional, uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::MmReduceScatter>("aclnnMatmulReduceScatterV2", workspaceSize, executor, [&](auto& call) {
    front::bind_either(call.op.product, call, {x1, x2, bias, nullptr, output}, x1Scale, x2Scale);
    front::bind_group(call.op.product, call, {group, reduceOp, commTurn, streamMode}, "mm_reduce_scatter");
    call.absent("quantScale", quantScale);
    call.absent("amaxOutOptional", amaxOutOptional);
    call.check.rank("x1", call.op.product.x1, 2, 2)
        .range("blockSize", blockSize, 0, 0)
        .range("groupSize", groupSize, 0, 0);
  });
}

aclnnStatus aclnnMatmulReduceScatterV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                       const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

aclnnStatus aclnnAllGatherMatmulV2GetWorkspaceSize(const aclTensor* x1, const aclTensor* x2, const aclTensor* bias,
                                                   const aclTensor* x1Scale, const aclTensor* x2Scale,
                                                   const aclTensor* quantScale, int64_t blockSize, const char* group,
                                                   int64_t gatherIndex, int64_t commTurn, int64_t streamMode,
                                                   int64_t groupSize, [[maybe_unused]] const char* commMode,
                                                   aclTensor* output, aclTensor* gatherOut, aclTensor* amaxOut,
                                                   uint64_t* workspaceSize, aclOpExecutor** executor) {
  return translate<tandem::AllGatherMm>("aclnnAllGatherMatmulV2", workspaceSize, executor, [&](auto& call) {
    front::bind_either(call.op.product, call, {x1, x2, bias, nullptr, output}, x1Scale, x2Scale);
    front::bind_group(call.op.product, call, {group, "sum", commTurn, streamMode}, "all_gather_mm");
    call.absent("quantScale", quantScale);
    call.out("gatherOut", call.op.gathered, gatherOut).absent("amaxOut", amaxOut);
    call.check.range("gatherIndex", gatherIndex, 0, 0);
    call.check.rank("x1", call.op.product.x1, 2, 2)
        .range("blockSize", blockSize, 0, 0)
        .range("groupSize", groupSize, 0, 0);
  });
}

aclnnStatus aclnnAllGatherMatmulV2(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                   const aclrtStream stream) {
  return launch(workspace, workspaceSize, executor, stream);
}

}  // extern "C"
