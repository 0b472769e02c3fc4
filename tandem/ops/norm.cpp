// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/norm.h"

#include <tuple>

#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr Field<RmsNorm> kRmsNorm[] = {
    {{"gamma", Role::input, "f32 f16 bf16", "norm..", "weight of the normalised dimensions"}, &RmsNorm::gamma},
    {{"x", Role::input, "f32 f16 bf16", "rows.. norm..", "activations"}, &RmsNorm::x},
    {{"residual", Role::option, "=x", "=x", "added to x before the norm"}, &RmsNorm::residual},
    {{"y", Role::output, "=x", "=x", "normalised rows"}, &RmsNorm::y},
    {{"sum", Role::option_output, "=x", "=x", "x + residual, rounded"}, &RmsNorm::sum},
    {{"rstd", Role::option_output, "f32", "rows.. norm..=1", "1 / sqrt(mean + epsilon)"}, &RmsNorm::rstd},
};

constexpr Range kEpsilon{0, 3.4e38};
constexpr Number<RmsNorm> kRmsNormNumbers[] = {
    {"epsilon", "added to the mean of squares", &RmsNorm::epsilon, kEpsilon}};

constexpr Field<RmsNormQuant> kQuant[] = {
    {{"gamma", Role::input, "f32 f16 bf16", "norm..", "weight of the normalised dimensions"}, &RmsNormQuant::gamma},
    {{"x", Role::input, "f32 f16 bf16", "rows.. norm..", "activations"}, &RmsNormQuant::x},
    {{"residual", Role::option, "=x", "=x", "added to x before the norm"}, &RmsNormQuant::residual},
    {{"beta", Role::option, "=x", "norm..", "added to the norm"}, &RmsNormQuant::beta},
    {{"scale1", Role::input, "f32 f16 bf16", "norm.. | 1", "scale of y1"}, &RmsNormQuant::scale1},
    {{"offset1", Role::option, "i32 i8 f32 f16 bf16", "norm.. | 1", "zero point of y1"}, &RmsNormQuant::offset1},
    {{"scale2", Role::option, "=scale1", "norm.. | 1", "scale of y2"}, &RmsNormQuant::scale2},
    {{"offset2", Role::option, "i32 i8 f32 f16 bf16", "norm.. | 1", "zero point of y2"}, &RmsNormQuant::offset2},
    {{"y1", Role::output, "i8", "=x", "quantised norm"}, &RmsNormQuant::y1},
    {{"y2", Role::option_output, "i8", "=x", "the same with scale2"}, &RmsNormQuant::y2},
    {{"sum", Role::option_output, "=x", "=x", "x + residual, rounded"}, &RmsNormQuant::sum},
    {{"norm", Role::option_output, "=x", "=x", "what was quantised"}, &RmsNormQuant::norm},
};
constexpr Number<RmsNormQuant> kQuantNumbers[] = {
    {"epsilon", "added to the mean of squares", &RmsNormQuant::epsilon, kEpsilon},
    {"divide", "divide by the scales instead of multiplying", &RmsNormQuant::divide, {0, 1}}};

constexpr Field<RmsNormDynamicQuant> kDynamic[] = {
    {{"gamma", Role::input, "=x", "norm", "weight of the normalised dimension"}, &RmsNormDynamicQuant::gamma},
    {{"x", Role::input, "f32 f16 bf16", "rows.. norm", "activations"}, &RmsNormDynamicQuant::x},
    {{"residual", Role::option, "=x", "=x", "added to x before the norm"}, &RmsNormDynamicQuant::residual},
    {{"beta", Role::option, "=x", "norm", "added to the norm"}, &RmsNormDynamicQuant::beta},
    {{"smooth1", Role::option, "=x", "norm", "factors before the quantisation of y1"}, &RmsNormDynamicQuant::smooth1},
    {{"smooth2", Role::option, "=x", "norm", "factors before the quantisation of y2"}, &RmsNormDynamicQuant::smooth2},
    {{"y1", Role::output, "i8", "=x", "quantised norm"}, &RmsNormDynamicQuant::y1},
    {{"row_scale1", Role::output, "f32", "rows..", "scale of each row of y1"}, &RmsNormDynamicQuant::row_scale1},
    {{"y2", Role::option_output, "i8", "=x", "the same with smooth2"}, &RmsNormDynamicQuant::y2},
    {{"row_scale2", Role::option_output, "f32", "rows..", "scale of each row of y2"}, &RmsNormDynamicQuant::row_scale2},
    {{"sum", Role::option_output, "=x", "=x", "x + residual, rounded"}, &RmsNormDynamicQuant::sum},
};
constexpr Number<RmsNormDynamicQuant> kDynamicNumbers[] = {
    {"epsilon", "added to the mean of squares", &RmsNormDynamicQuant::epsilon, kEpsilon}};

// One norm: dense operands, y in the dtype of x.
struct NormCall {
  const TensorView &x, &residual, &gamma, &sum, &rstd;
  double epsilon;
};

int64_t columns_of(const NormCall& call) { return call.gamma.elements(); }
int64_t rows_of(const NormCall& call) { return call.x.elements() / columns_of(call); }

// The norm to `y`, whose dtype is that of gamma.
void normalise(const NormCall& call, const TensorView& y, Work& work) {
  AddRmsNormArgs args;
  args.n = columns_of(call);
  args.rows = rows_of(call);
  args.x = call.x.data;
  args.x_dtype = call.x.dtype;
  args.x_row_bytes = row_bytes(call.x.dtype, args.n);
  args.residual = call.residual.data;
  args.residual_row_bytes = args.x_row_bytes;
  args.gamma = call.gamma.data;
  args.dtype = y.dtype;
  args.epsilon = static_cast<float>(call.epsilon);
  args.y = call.sum.data;
  args.y_row_bytes = args.x_row_bytes;
  args.norm = y.data;
  args.norm_row_bytes = row_bytes(y.dtype, args.n);
  args.rstd = call.rstd.as<float>();
  work.kernels.norm.add_rms_norm(args, work.lane);
}

// A wide gamma is applied in f32 and the result rounded once.
Status normalise_to(const NormCall& call, const TensorView& y, std::string_view name, Work& work) {
  if (call.gamma.dtype == y.dtype) {
    normalise(call, y, work);
    return {};
  }
  const Scratch::Mark mark(*work.lane.scratch);
  const TensorView wide = scratch_matrix(work.lane, DType::f32, rows_of(call), columns_of(call));
  if (wide.data == nullptr) return no_scratch(name, "the norm in f32");
  normalise({call.x, call.residual, call.gamma, {}, call.rstd, call.epsilon}, wide, work);
  work.kernels.reduce.cast({y.elements(), wide.data, DType::f32, y.data, y.dtype}, work.lane);
  return {};
}

Status run_rms_norm(const RmsNorm& op, Work& work) {
  if (op.gamma.elements() == 0) return {};
  const NormCall call{op.x, op.residual, op.gamma, op.sum, op.rstd, op.epsilon};
  return normalise_to(call, op.y, "rms_norm", work);
}

// The norm (+ beta) where it is to stay, or in scratch.
template <class Op>
Expected<TensorView> norm_rows(const Op& op, const TensorView& kept, std::string_view name, Work& work) {
  const int64_t n = op.gamma.elements(), rows = op.x.elements() / n;
  const TensorView norm = kept.present() ? kept : scratch_matrix(work.lane, op.x.dtype, rows, n);
  if (norm.data == nullptr) return no_scratch(name, "the norm");
  const NormCall call{op.x, op.residual, op.gamma, op.sum, {}, op.epsilon};
  if (auto status = normalise_to(call, norm, name, work); !status) return fail(status.error());
  if (op.beta.present()) {
    work.kernels.elementwise.binary({rows * n, norm.data, op.beta.data, n, norm.data, norm.dtype, Binary::add},
                                    work.lane);
  }
  return norm;
}

Status quantise(const TensorView& norm, int64_t n, const PerColumn& scale, const PerColumn& offset, bool divide,
                const TensorView& y, Work& work) {
  QuantizeArgs args;
  args.n = n;
  args.rows = norm.elements() / n;
  args.x = norm.data;
  args.x_dtype = norm.dtype;
  args.x_row_bytes = row_bytes(norm.dtype, n);
  args.scale = scale;
  args.offset = offset;
  args.divide = divide;
  args.y = y.data;
  args.y_row_bytes = n;
  work.kernels.quant.quantize(args, work.lane);
  return {};
}

Status run_quant(const RmsNormQuant& op, Work& work) {
  constexpr std::string_view kName = "rms_norm_quant";
  const int64_t n = op.gamma.elements();
  if (n == 0) return {};
  const auto norm = norm_rows(op, op.norm, kName, work);
  if (!norm) return fail(norm.error());
  const std::tuple<const TensorView&, const TensorView&, const TensorView&> outputs[] = {
      {op.scale1, op.offset1, op.y1}, {op.scale2, op.offset2, op.y2}};
  for (const auto& [scale, offset, y] : outputs) {
    if (!y.present() || !scale.present()) continue;
    const auto factor = per_column(scale, kName, work), zero = per_column(offset, kName, work);
    if (!factor || !zero) return fail(factor ? zero.error() : factor.error());
    if (auto status = quantise(*norm, n, *factor, *zero, op.divide, y, work); !status) return status;
  }
  return {};
}

Status run_dynamic(const RmsNormDynamicQuant& op, Work& work) {
  const int64_t n = op.gamma.elements();
  if (n == 0) return {};
  const auto norm = norm_rows(op, {}, "rms_norm_dynamic_quant", work);
  if (!norm) return fail(norm.error());
  DynamicQuantArgs args;
  args.n = n;
  args.rows = norm->elements() / n;
  args.x = norm->data;
  args.x_dtype = norm->dtype;
  args.x_row_bytes = row_bytes(norm->dtype, n);
  args.y_row_bytes = n;
  const std::tuple<const TensorView&, const TensorView&, const TensorView&> outputs[] = {
      {op.smooth1, op.y1, op.row_scale1}, {op.smooth2, op.y2, op.row_scale2}};
  for (const auto& [smooth, y, scale] : outputs) {
    if (!y.present()) continue;
    args.smooth = smooth.data;
    args.y = y.data;
    args.scale = scale.as<float>();
    work.kernels.quant.dynamic_quant(args, work.lane);
  }
  return {};
}

template <class Op>
void check_gamma(Check& check, const Op& op) {
  check.rank("gamma", op.gamma, 1, TensorView::kMaxRank).rank("x", op.x, 1, TensorView::kMaxRank);
  if (op.residual.present() || op.gamma.dtype != DType::f32) check.same_dtype("gamma", op.gamma, "x", op.x.dtype);
}

void check_quant(Check& check, const RmsNormQuant& op) {
  check_gamma(check, op);
  check.that(op.y2.present() || !op.scale2.present(), "y2 is absent, one wanted for scale2");
  check.that(op.scale2.present() || !op.offset2.present(), "scale2 is absent, one wanted for offset2");
}

void check_dynamic(Check& check, const RmsNormDynamicQuant& op) {
  check_gamma(check, op);
  check.that(op.y2.present() == op.row_scale2.present(), "y2 is {} and row_scale2 {}, both or none wanted",
             op.y2.describe(), op.row_scale2.describe());
  check.that(op.y2.present() || !op.smooth2.present(), "y2 is absent, one wanted for smooth2");
}

void check_rms_norm(Check& check, const RmsNorm& op) {
  check_gamma(check, op);
  check.that(!op.sum.present() || op.residual.present(), "sum is {} without a residual, none wanted",
             op.sum.describe());
}

}  // namespace

template <>
const OperatorTable<RmsNorm>& table_of<RmsNorm>() {
  static constexpr OperatorTable<RmsNorm> kTable{
      "rms_norm",     "y = (x + residual) / sqrt(mean((x + residual)^2) + epsilon) * gamma",
      kRmsNorm,       kRmsNormNumbers,
      check_rms_norm, run_rms_norm};
  return kTable;
}

template <>
const OperatorTable<RmsNormQuant>& table_of<RmsNormQuant>() {
  static constexpr OperatorTable<RmsNormQuant> kTable{
      "rms_norm_quant", "y1 = sat8(round((rms_norm(x + residual) + beta) * scale1 + offset1))",
      kQuant,           kQuantNumbers,
      check_quant,      run_quant};
  return kTable;
}

template <>
const OperatorTable<RmsNormDynamicQuant>& table_of<RmsNormDynamicQuant>() {
  static constexpr OperatorTable<RmsNormDynamicQuant> kTable{
      "rms_norm_dynamic_quant",
      "(y1, row_scale1) = dynamic_quant(rms_norm(x + residual) + beta, smooth1)",
      kDynamic,
      kDynamicNumbers,
      check_dynamic,
      run_dynamic};
  return kTable;
}

Expected<Plan> plan(const RmsNorm& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const RmsNormQuant& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const RmsNormDynamicQuant& op, Device&) { return plan_single(op); }

}  // namespace tandem
