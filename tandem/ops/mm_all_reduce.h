// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"
#include "tandem/kernels/gemm.h"
#include "tandem/ops/plan.h"

#pragma GCC visibility push(default)
namespace tandem {

// Weight-only: value = (w + offset) * scale. Tensor [1], channel [n] or [1,n], group [ceil(k/group), n] (any strides).
struct WeightScale {
  TensorView scale, offset;
  int64_t group = 0;
};

// int8 x int8: value = (int32 sum + bias) * channel[c] (* token[row]), a floating bias behind that. channel: f32, f16,
// bf16, or i64/u64 holding f32 bits.
struct Int8Scale {
  TensorView channel, token;
};

using Quant = std::variant<std::monostate, WeightScale, Int8Scale>;

// int8 between the ranks of an int8 x int8 product: q = sat8(round(p / first[c])) of each rank's partial p (its own bias
// and x3 in it), a = sat8(round(sum over ranks of q * (first[c] / second[c]))), the sum is a * second[c].
struct Int8Wire {
  TensorView first, second;  // [n] or [1,n] f32, f16 or bf16, on all ranks the same
};

// The rounded norm as int8. With scale: y = sat8(round(norm * scale + offset)). With row_scale: dynamic_quant, that is
// row_scale[m] = max|norm * smooth| / 127, y = sat8(round(norm * smooth / row_scale)).
struct NormQuant {
  TensorView y;                  // i8, the shape of the norm
  TensorView scale, offset;      // [1] or [n] f32, f16 or bf16; the offset may be absent
  TensorView row_scale, smooth;  // a f32 for each row; [n] like the norm, may be absent
};

// What follows a finished row: y = rd(sum + residual), norm = y * gamma / sqrt(mean(y*y) + epsilon).
struct AddRmsNorm {
  TensorView residual, gamma;
  double epsilon = 1e-6;
  TensorView norm;                   // absent, and no quant: only the addition
  bool residual_replicated = false;  // the caller states that all ranks hold the same residual: the owner does the tail
  std::optional<NormQuant> quant;    // norm may then be absent
};

// The router's choice for a MoE down projection: row m is sum over j of weight[m][j] * (x1[m][j] @ experts[expert[m][j]]).
// int8 x1 and experts: a product is its int32 sum * scale[expert][column] * token[m][j].
struct ExpertList {
  std::span<const TensorView> experts;  // each (k, n)
  TensorView expert;                    // (M, top_k) i32, rising in a row, without repeats; -1: none, adds nothing
  TensorView weight;                    // (M, top_k) f32
  std::span<const TensorView> scale;    // int8: each [n] f32, f16 or bf16
  TensorView token;                     // int8: (M, top_k) f32
};

// y = [tail] all_reduce_sum over ranks of (x1 @ dequant(x2) + bias + x3)
//
//   x1 (.., k) f32, f16, bf16 or i8; x2 (k, n), row-major, transposed or packed; bias [n]; x3, y like x1 with n columns.
//   With `experts`, x1 is (M, top_k, k) and x2 is absent.
//   k may be 0 on some ranks. Bias and x3 may be present on some ranks only; they are summed in rank order after the
//   tree over ranks. With a reduction other than "sum" ("prod", "max", "min", "avg") and with `wire` they belong to the
//   rank's partial. Inputs may have any strides (an i4 weight is row-major or transposed); what the kernels cannot read
//   in place is copied in each run. Order of sums and rounding: docs/numerics.md.
// Errors: null_argument, invalid_argument at plan(); peer_lost, timed_out, mismatch, out_of_memory at run.
struct MmAllReduce {
  TensorView x1, x2, bias, x3;
  int64_t x2_panel = 0;  // kPanel when x2 holds panels: pack_weights(), transdata
  Quant quant;
  std::optional<Int8Wire> wire;
  std::optional<ExpertList> experts;
  std::optional<AddRmsNorm> then;
  std::optional<Math> math;  // all ranks the same; absent: TANDEM_MATH
  TensorView y;            // with `then`: the sum after the residual; may be the residual's memory
  std::string_view group;  // name of the communicator
  std::string_view reduction = "sum";
};

Expected<Plan> plan(const MmAllReduce& op, Device& device);

}  // namespace tandem
#pragma GCC visibility pop
