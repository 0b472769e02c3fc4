// SPDX-License-Identifier: Apache-2.0
#include "front/aclnn/fused_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>

#include "front/acl/product.h"
#include "front/aclnn/status.h"
#include "tandem/base/check.h"

namespace tandem::front {
namespace {

// The checks of one call. The vendor finds faults in three places and answers with their codes; the documents know only
// 161001 and 161002. `found_by` names the place of the checks that follow.
class Gate {
 public:
  explicit Gate(std::string_view operation) : check(operation) {}

  Check& found_by(int vendor_code) {
    if (!check.failed()) vendor_code_ = vendor_code;
    return check;
  }
  Check& api() { return found_by(ACLNN_ERR_PARAM_INVALID); }
  Check& tiling() { return found_by(ACLNN_ERR_INNER_TILING_ERROR); }

  Refusal refusal() const {
    const Status status = check.status();
    if (status) return {};
    const bool null = status.error().code == ErrorCode::null_argument;
    const int documented = null ? ACLNN_ERR_PARAM_NULLPTR : ACLNN_ERR_PARAM_INVALID;
    return {strict() && !null ? vendor_code_ : documented, status.error()};
  }

  Check check;

 private:
  int vendor_code_ = ACLNN_ERR_PARAM_INVALID;
};

struct Named {
  std::string_view name;
  const aclTensor* tensor;
};

std::string_view scale_name(const FusedCall& call) {
  return call.weights == Weights::full ? "dequantScale" : "antiquantScale";
}

std::array<Named, 9> tensors_of(const FusedCall& call) {
  return {{{"x1", call.x1},
           {"x2", call.x2},
           {"bias", call.bias},
           {scale_name(call), call.scale},
           {"antiquantOffset", call.offset},
           {"residual", call.residual},
           {"gamma", call.gamma},
           {"y", call.y},
           {"normOut", call.norm}}};
}

const TensorView& view_of(const aclTensor* tensor) {
  static const TensorView absent;
  return tensor == nullptr ? absent : tensor->view;
}

void check_pointers(Gate& gate, const FusedCall& call) {
  const bool quantised = call.weights != Weights::plain;
  gate.api().present("x1", call.x1 != nullptr).present("x2", call.x2 != nullptr);
  if (quantised) gate.check.present(scale_name(call), call.scale != nullptr);
  gate.check.present("residual", call.residual != nullptr).present("gamma", call.gamma != nullptr);
  if (!call.inplace) gate.check.present("y", call.y != nullptr);
  gate.check.present("normOut", call.norm != nullptr).present("group", call.group != nullptr);
  gate.check.present("reduceOp", call.reduce_op != nullptr).present("workspaceSize", call.workspace_size != nullptr);
  gate.check.present("executor", call.executor != nullptr);
}

// Element types this library does not have stop here, so that what follows may use the views.
void check_known(Gate& gate, const FusedCall& call) {
  for (const auto& [name, tensor] : tensors_of(call)) {
    if (gate.check.failed()) return;
    if (tensor == nullptr || tensor->view.present()) continue;
    gate.check.that(false, "{} {} has an unknown dtype, one of this operator wanted", name, describe(*tensor));
  }
}

void check_inner_sizes(Gate& gate, const FusedCall& call) {
  const TensorView &x1 = view_of(call.x1), &x2 = view_of(call.x2), &residual = view_of(call.residual);
  gate.api().rank("x1", x1, 1, TensorView::kMaxRank).rank("x2", x2, 2, TensorView::kMaxRank);
  gate.check.rank("residual", residual, 1, TensorView::kMaxRank);
  if (gate.check.failed()) return;
  gate.check.dim("x2", x2, 0, x1.dim(-1), "the last dimension of x1");
  gate.check.dim("residual", residual, -1, x2.dim(-1), "the last dimension of x2");
  gate.check.that(x1.dim(-1) > 0, "x1 {} has k = 0, at least 1 wanted", x1.describe());
}

void check_types(Gate& gate, const FusedCall& call) {
  const TensorView &x1 = view_of(call.x1), &x2 = view_of(call.x2), &residual = view_of(call.residual);
  const bool full = call.weights == Weights::full;
  gate.api();
  if (full) {
    gate.check.dtype("x1", x1, {DType::i8}).dtype("x2", x2, {DType::i8});
    gate.check.dtype("bias", view_of(call.bias), {DType::i32});
    gate.check.dtype("residual", residual, {DType::f16, DType::bf16});
  } else {
    gate.check.dtype("x1", x1, {DType::f16, DType::bf16}).same_dtype("bias", view_of(call.bias), "x1", x1.dtype);
    gate.check.same_dtype("residual", residual, "x1", x1.dtype);
  }
  if (call.weights == Weights::plain) gate.check.same_dtype("x2", x2, "x1", x1.dtype);
  if (call.weights == Weights::weight_only) {
    gate.check.dtype("x2", x2, {DType::i8, DType::i4})
        .same_dtype("antiquantScale", view_of(call.scale), "x1", x1.dtype);
    gate.check.same_dtype("antiquantOffset", view_of(call.offset), "antiquantScale", x1.dtype);
  }
  if (full && residual.dtype == DType::bf16) gate.check.dtype("dequantScale", view_of(call.scale), {DType::bf16});
  if (full && residual.dtype == DType::f16) {
    gate.check.dtype("dequantScale", view_of(call.scale), {DType::i64, DType::u64});
  }
  gate.check.same_dtype("gamma", view_of(call.gamma), "residual", residual.dtype);
  gate.check.same_dtype("y", view_of(call.y), "residual", residual.dtype);
  gate.check.same_dtype("normOut", view_of(call.norm), "residual", residual.dtype);
}

void check_attributes(Gate& gate, const FusedCall& call) {
  constexpr size_t kMostGroupName = 127;
  gate.api().that(std::strcmp(call.reduce_op, "sum") == 0, "reduceOp is \"{}\", \"sum\" wanted", call.reduce_op);
  const size_t length = strnlen(call.group, kMostGroupName + 1);
  gate.check.that(length <= kMostGroupName, "group has more than 127 characters, a name of HcclGetCommName wanted");
  gate.tiling().range("commTurn", call.comm_turn, 0, 0);
  const auto epsilon = static_cast<float>(call.epsilon);
  gate.check.that(epsilon > 0.0F && epsilon < 1.0F, "epsilon is {}, a value in (0, 1) wanted (as a 32-bit float)",
                  call.epsilon);
}

void check_layouts(Gate& gate, const FusedCall& call) {
  const TensorView& x2 = view_of(call.x2);
  for (const auto& [name, tensor] : tensors_of(call)) {
    if (tensor == nullptr || !private_format(tensor->format)) continue;
    const bool packed = name == "x2" && tensor->format == ACL_FORMAT_FRACTAL_NZ && !strict();
    gate.api().that(packed, "{} has format {}, ND wanted", name, tensor->format);
  }
  gate.tiling().rank("x1", view_of(call.x1), 2, 3);
  gate.api().rank("x2", x2, 2, 2).contiguous("x1", view_of(call.x1)).contiguous("bias", view_of(call.bias));
  gate.check.contiguous("y", view_of(call.y)).contiguous("normOut", view_of(call.norm));
  gate.found_by(ACLNN_ERR_INNER)
      .contiguous("residual", view_of(call.residual))
      .contiguous("gamma", view_of(call.gamma));
  if (gate.check.failed()) return;
  const bool row_major = x2.contiguous(), transposed = x2.transposed().contiguous();
  gate.api().that(row_major || transposed, "x2 {} has strides [{},{}], a row-major or transposed matrix wanted",
                  x2.describe(), x2.step(0), x2.step(1));
  // A single row or column reads both ways.
  const bool even = (row_major && x2.dim(1) % 2 == 0) || (transposed && x2.dim(0) % 2 == 0);
  gate.tiling().that(x2.dtype != DType::i4 || even,
                     "x2 {} has {} elements on its contiguous axis, an even number wanted for i4", x2.describe(),
                     x2.dim(row_major ? 1 : 0));
}

void check_shapes(Gate& gate, const FusedCall& call) {
  constexpr int64_t kMost = 65535;
  const TensorView &x1 = view_of(call.x1), &residual = view_of(call.residual), &bias = view_of(call.bias);
  const int64_t n = residual.dim(-1);
  gate.tiling().range("k", x1.dim(-1), 1, kMost).range("n", n, 1, kMost);
  gate.check.rank("residual", residual, 3, 3);
  gate.api().that(residual.row_count() == x1.row_count(), "residual {} has {} rows, {} wanted (those of x1)",
                  residual.describe(), residual.row_count(), x1.row_count());
  gate.tiling().rank("gamma", view_of(call.gamma), 1, 1).dim("gamma", view_of(call.gamma), 0, n, "n");
  gate.check.rank("bias", bias, 1, 1).dim("bias", bias, 0, n, "n");
  gate.check.same_shape("y", view_of(call.y), "residual", residual);
  gate.check.same_shape("normOut", view_of(call.norm), "residual", residual);
}

// [1], [n] or [1,n]; [1,1] counts as [1].
void check_flat_scale(Gate& gate, const FusedCall& call, int64_t n) {
  const TensorView& scale = view_of(call.scale);
  gate.tiling().rank(scale_name(call), scale, 1, 2);
  if (gate.check.failed()) return;
  const int64_t columns = scale.dim(-1);
  gate.check.that((scale.rank == 1 || scale.dim(0) == 1) && (columns == 1 || columns == n),
                  "{} is {}, [1], [{}] or [1,{}] wanted", scale_name(call), scale.describe(), n, n);
  gate.api().contiguous(scale_name(call), scale);
}

void check_group_scale(Gate& gate, const FusedCall& call, int64_t k, int64_t n) {
  constexpr int64_t kStep = 32;
  const int64_t size = call.group_size;
  gate.api().that(size >= 0, "antiquantGroupSize is {}, 0 or a multiple of 32 wanted", size);
  gate.tiling().that(size >= kStep && size % kStep == 0 && size <= INT_MAX,
                     "antiquantGroupSize is {}, a multiple of 32 of at least 32 wanted", size);
  gate.api().that(size <= k - 1, "antiquantGroupSize is {}, at most k - 1 = {} wanted", size, k - 1);
  if (gate.check.failed()) return;
  const TensorView& scale = view_of(call.scale);
  const int64_t groups = (k + size - 1) / size;
  gate.check.that(scale.rank == 2 && scale.dim(0) == groups && scale.dim(1) == n,
                  "antiquantScale is {}, [{},{}] wanted for antiquantGroupSize {}", scale.describe(), groups, n, size);
  if (gate.check.failed()) return;
  const auto plain = [](const TensorView& view) { return view.contiguous() || view.transposed().contiguous(); };
  gate.check.that(plain(scale), "antiquantScale {} has gaps, a row-major or transposed matrix wanted",
                  scale.describe());
  const TensorView& offset = view_of(call.offset);
  const bool good = !offset.present() || (offset.rank == 2 && plain(offset));
  gate.check.that(good, "antiquantOffset {} has gaps, a row-major or transposed matrix wanted", offset.describe());
}

void check_scale(Gate& gate, const FusedCall& call) {
  if (call.weights == Weights::plain || gate.check.failed()) return;
  const int64_t k = view_of(call.x1).dim(-1);
  const int64_t n = view_of(call.residual).dim(-1);
  if (call.group_size == 0) {
    check_flat_scale(gate, call, n);
    gate.api().contiguous("antiquantOffset", view_of(call.offset));
  } else {
    check_group_scale(gate, call, k, n);
  }
  gate.api().same_shape("antiquantOffset", view_of(call.offset), scale_name(call), view_of(call.scale));
}

}  // namespace

Refusal check_first(const FusedCall& call) {
  Gate gate(call.name);
  check_pointers(gate, call);
  check_known(gate, call);
  check_inner_sizes(gate, call);
  return gate.refusal();
}

bool is_empty(const FusedCall& call) { return call.x1->view.row_count() == 0 || call.x2->view.dim(-1) == 0; }

Refusal check_rest(const FusedCall& call) {
  Gate gate(call.name);
  gate.api().range("streamMode", call.stream_mode, 1, 1);
  check_types(gate, call);
  check_attributes(gate, call);
  check_layouts(gate, call);
  if (!gate.check.failed()) check_shapes(gate, call);
  check_scale(gate, call);
  return gate.refusal();
}

Refusal check_group(const FusedCall& call, int device) {
  Gate gate(call.name);
  const auto comm = Communicator::find(call.group, device);
  gate.tiling().that(comm.has_value(),
                     "group {}, the name HcclGetCommName gives for a communicator of this device wanted",
                     comm ? "" : comm.error().message);
  if (!comm) return gate.refusal();
  const Use use{"mm_all_reduce_add_rms_norm", view_of(call.residual).dtype, (*comm)->size()};
  const std::string limit = refused_by_product(use);
  gate.api().that(limit.empty(), "group: {}", limit);
  return gate.refusal();
}

}  // namespace tandem::front
