// SPDX-License-Identifier: Apache-2.0
#include "bench/op/operands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tandem/comm/tree.h"
#include "tandem/kernels/pack.h"
#include "tandem/kernels/table.h"
#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/mm_reduce_scatter.h"

namespace tandem::bench::op {

using fused::operand;
using fused::Stored;

namespace {

TensorView rows_of(const TensorView& whole, int64_t first, int64_t count) {
  if (!whole.present()) return {};
  auto* data = static_cast<std::byte*>(whole.data) + dtype_bytes(whole.dtype, first * whole.dim(-1));
  return make_tensor(data, whole.dtype, {count, whole.dim(-1)});
}

ScaleView scale_view(const Stored& stored, const void* data) {
  if (!stored.present()) return {};
  return {data, stored.dtype, stored.rows > 1 ? stored.row_step : 0, stored.cols > 1 ? stored.col_step : 0};
}

}  // namespace

Expected<std::unique_ptr<Operands>> Operands::make(const OpProblem& problem, const Communicator& comm,
                                                   size_t pool_bytes) {
  std::unique_ptr<Operands> made(new Operands(problem, comm));
  made->data_ = fused::make_rank(problem.data, problem.kind == OpKind::all_gather ? 0 : comm.rank());
  if (Status s = made->place_weights(pool_bytes); !s) return fail(s.error());
  made->call_ = fused::make_call(problem.data, made->data_, comm.name());
  return made;
}

Status Operands::place_weights(size_t pool_bytes) {
  constexpr size_t kMostCopies = 4096;
  const fused::Problem& p = problem_.data;
  const Stored &x2 = operand(data_, "x2"), &scale = operand(data_, "scale");
  const bool packed = problem_.layout == "packed";
  const size_t bytes = packed ? packed_bytes(p.weight, p.k, p.n) : x2.bytes.size();
  const size_t copies = std::clamp<size_t>(pool_bytes / std::max<size_t>(bytes, 1), 2, kMostCopies);
  for (size_t i = 0; i < copies; ++i) {
    auto weight = Pages::allocate(bytes);
    auto scales = Pages::allocate(std::max<size_t>(scale.bytes.size(), 1));
    if (!weight || !scales) return fail(ErrorCode::out_of_memory, "bench op: the pool of weights was refused");
    if (packed) {
      pack_weight({x2.bytes.data(), x2.dtype, x2.row_step, x2.col_step, 0}, p.k, p.n, weight->data());
    } else {
      std::memcpy(weight->data(), x2.bytes.data(), bytes);
    }
    if (!scale.bytes.empty()) std::memcpy(scales->data(), scale.bytes.data(), scale.bytes.size());
    weights_.push_back(std::move(*weight));
    scales_.push_back(std::move(*scales));
  }
  if (!p.integer()) return {};
  for (int64_t c = 0; c < scale.cols; ++c) dequant_.push_back(static_cast<float>(scale.at(0, c)));
  return {};
}

int64_t Operands::out_rows() const {
  return problem_.kind == OpKind::reduce_scatter ? problem_.rows_of(rank_) : problem_.data.m;
}

MmAllReduce Operands::call(size_t copy) const {
  MmAllReduce op = call_.op;
  op.group = group_;
  op.math = problem_.math;
  op.x2.data = weights_[copy].data();
  op.x2_panel = problem_.layout == "packed" ? kPanel : 0;
  if (auto* weight = std::get_if<WeightScale>(&op.quant)) weight->scale.data = scales_[copy].data();
  if (auto* both = std::get_if<Int8Scale>(&op.quant)) both->channel.data = scales_[copy].data();
  if (problem_.kind == OpKind::reduce_scatter) {
    const int64_t first = problem_.first_row(rank_), count = problem_.rows_of(rank_);
    op.y = rows_of(op.y, 0, count);
    if (op.then) {
      op.then->residual = rows_of(op.then->residual, first, count);
      op.then->norm = rows_of(op.then->norm, 0, count);
    }
  }
  if (problem_.kind == OpKind::all_gather) {
    const int64_t first = problem_.first_row(rank_), count = problem_.rows_of(rank_);
    op.x1 = rows_of(op.x1, first, count);
    auto* both = std::get_if<Int8Scale>(&op.quant);
    if (both != nullptr && both->token.present()) {
      both->token = make_tensor(both->token.as<float>() + first, DType::f32, {count});
    }
  }
  return op;
}

Expected<Plan> Operands::plan_of(size_t copy, Device& device) const {
  if (problem_.kind == OpKind::all_reduce) return plan(call(copy), device);
  std::vector<int64_t> counts;
  for (int rank = 0; rank < problem_.ranks; ++rank) counts.push_back(problem_.rows_of(rank));
  if (problem_.kind == OpKind::reduce_scatter) return plan(MmReduceScatter{call(copy), counts}, device);
  return plan(AllGatherMm{call(copy), {}, counts}, device);
}

GemmArgs Operands::product(size_t copy, void* const* rows) const {
  const fused::Problem& p = problem_.data;
  const Stored &x1 = operand(data_, "x1"), &x2 = operand(data_, "x2");
  GemmArgs args;
  args.m = p.m, args.n = p.n, args.k = p.k;
  args.leaves = leaves_per_rank(problem_.kind == OpKind::all_gather ? 1 : problem_.ranks);
  args.math = problem_.math;
  args.x = x1.bytes.data();
  args.x_dtype = p.dtype;
  args.x_row_bytes = static_cast<int64_t>(dtype_bytes(p.dtype, p.k));
  args.w = {weights_[copy].data(), p.weight, x2.row_step, x2.col_step, 0};
  if (problem_.layout == "packed") args.w = {weights_[copy].data(), p.weight, 0, 0, kPanel};
  if (p.integer()) {
    args.dequant = {dequant_.data(), DType::f32, 0, dequant_.size() == 1 ? 0 : 1};
    if (p.token) args.token = reinterpret_cast<const float*>(operand(data_, "token").bytes.data());
  } else {
    args.scale = scale_view(operand(data_, "scale"), scales_[copy].data());
    args.offset = scale_view(operand(data_, "offset"), operand(data_, "offset").bytes.data());
    args.group = p.group;
  }
  args.y_rows = rows;
  args.y_dtype = DType::f32;
  return args;
}

void Operands::tail(const void* const* sums, fused::Outputs& out, Lane& lane) const {
  const fused::Problem& p = problem_.data;
  const int64_t first = problem_.kind == OpKind::reduce_scatter ? problem_.first_row(rank_) : 0;
  const auto pitch = static_cast<int64_t>(dtype_bytes(p.output, p.n));
  AddRmsNormArgs args;
  args.rows = out_rows();
  args.n = p.n;
  args.x_rows = sums;
  args.dtype = p.output;
  args.epsilon = static_cast<float>(p.epsilon);
  args.y = out.y.data();
  args.y_row_bytes = args.norm_row_bytes = args.residual_row_bytes = pitch;
  if (p.tail) {
    args.residual = operand(data_, "residual").bytes.data() + first * pitch;
    args.gamma = operand(data_, "gamma").bytes.data();
    args.norm = out.norm.data();
  }
  if (args.rows > 0) default_table().norm.add_rms_norm(args, lane);
}

std::vector<float> Operands::plain_weight() const {
  const fused::Problem& p = problem_.data;
  const Stored &x2 = operand(data_, "x2"), &scale = operand(data_, "scale"), &offset = operand(data_, "offset");
  std::vector<float> plain(static_cast<size_t>(p.k * p.n));
  for (int64_t k = 0; k < p.k; ++k) {
    const int64_t group = p.scales == "group" ? k / p.group : 0;
    for (int64_t c = 0; c < p.n; ++c) {
      double value = x2.at(k, c);
      const int64_t column = scale.cols == 1 ? 0 : c;
      if (offset.present()) value += offset.at(group, column);
      if (scale.present()) value *= scale.at(group, column);
      plain[static_cast<size_t>(k * p.n + c)] = static_cast<float>(value);
    }
  }
  return plain;
}

std::vector<float> Operands::plain_x() const {
  const fused::Problem& p = problem_.data;
  const Stored &x1 = operand(data_, "x1"), &token = operand(data_, "token");
  std::vector<float> plain(static_cast<size_t>(p.m * p.k));
  for (int64_t row = 0; row < p.m; ++row) {
    const double factor = token.present() ? token.at(0, row) : 1;
    for (int64_t k = 0; k < p.k; ++k) {
      plain[static_cast<size_t>(row * p.k + k)] = static_cast<float>(x1.at(row, k) * factor);
    }
  }
  return plain;
}

}  // namespace tandem::bench::op
