// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "tandem/base/half.h"
#include "tandem/exec/team.h"
#include "tandem/ops/norm.h"
#include "tandem/ops/single.h"

// Everything between the operands and the one rounding of each result is f64, and sums rise: the same bits anywhere.
namespace tandem {
namespace {

constexpr std::string_view kFloats = "f32 f16 bf16";

constexpr Field<LayerNorm> kLayer[] = {
    {{"gamma", Role::input, kFloats, "norm..", "weight of the normalised dimensions"}, &LayerNorm::gamma},
    {{"x", Role::input, kFloats, "rows.. norm..", "activations"}, &LayerNorm::x},
    {{"beta", Role::option, "=gamma", "=gamma", "added to the norm"}, &LayerNorm::beta},
    {{"y", Role::output, "=x", "=x", "normalised rows"}, &LayerNorm::y},
};
constexpr Number<LayerNorm> kLayerNumbers[] = {
    {"epsilon", "added to the variance", &LayerNorm::epsilon, {0, std::numeric_limits<double>::max()}}};

constexpr Field<RmsNormBackward> kBackward[] = {
    {{"gamma", Role::input, kFloats, "n", "weight"}, &RmsNormBackward::gamma},
    {{"dy", Role::input, "=gamma", "rows.. n", "gradient of y"}, &RmsNormBackward::dy},
    {{"x", Role::input, "=dy", "=dy", "what was normalised"}, &RmsNormBackward::x},
    {{"rstd", Role::input, "f32", "rows.. | rows.. 1", "1 / sqrt(mean + epsilon) of each row"}, &RmsNormBackward::rstd},
    {{"dx", Role::output, "=dy", "=dy", "gradient of x"}, &RmsNormBackward::dx},
    {{"dgamma", Role::output, "=gamma f32", "n", "gradient of gamma"}, &RmsNormBackward::dgamma},
};

// The values as f32 in scratch, or where they are.
const float* as_floats(const TensorView& tensor, Work& work) {
  if (!tensor.present() || tensor.dtype == DType::f32) return tensor.as<const float>();
  auto* wide = work.lane.scratch->take_array<float>(tensor.elements());
  if (wide == nullptr) return nullptr;
  work.kernels.reduce.cast({tensor.elements(), tensor.data, tensor.dtype, wide, DType::f32}, work.lane);
  return wide;
}

// Room for results in f32: their own memory, or scratch that give() rounds into it.
float* room_for(const TensorView& tensor, Work& work) {
  return tensor.dtype == DType::f32 ? tensor.as<float>() : work.lane.scratch->take_array<float>(tensor.elements());
}

void give(const float* values, const TensorView& tensor, Work& work) {
  if (tensor.dtype == DType::f32) return;
  work.kernels.reduce.cast({tensor.elements(), values, DType::f32, tensor.data, tensor.dtype}, work.lane);
}

int64_t rows_at_once(int64_t n) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, n)); }

struct LayerRow {
  int64_t n;
  const float *gamma, *beta;
  double epsilon;
};

void normalise_row(const LayerRow& row, const float* x, float* y) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < row.n; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(row.n);
  for (int64_t i = 0; i < row.n; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    squares += d * d;
  }
  const double inverse = 1 / std::sqrt(squares / static_cast<double>(row.n) + row.epsilon);
  for (int64_t i = 0; i < row.n; ++i) {
    const double v = (static_cast<double>(x[i]) - mean) * inverse * static_cast<double>(row.gamma[i]);
    store_float(y + i, static_cast<float>(row.beta == nullptr ? v : v + static_cast<double>(row.beta[i])));
  }
}

Status run_layer(const LayerNorm& op, Work& work) {
  const int64_t n = op.gamma.elements();
  if (n == 0) return {};
  const float* x = as_floats(op.x, work);
  const LayerRow row{n, as_floats(op.gamma, work), as_floats(op.beta, work), op.epsilon};
  float* y = room_for(op.y, work);
  if (x == nullptr || row.gamma == nullptr || y == nullptr || (row.beta == nullptr && op.beta.present()))
    return no_scratch("layer_norm", "values as f32");
  work.lane.team->parallel_for(op.x.elements() / n, rows_at_once(n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) normalise_row(row, x + i * n, y + i * n);
  });
  give(y, op.y, work);
  return {};
}

struct BackwardRows {
  int64_t rows, n;
  const float *dy, *x, *rstd, *gamma;
};

void turn_back(const BackwardRows& given, int64_t row, float* dx) {
  const float *dy = given.dy + row * given.n, *x = given.x + row * given.n;
  const auto r = static_cast<double>(given.rstd[row]);
  double sum = 0;
  const auto weighted = [&](int64_t i) { return static_cast<double>(dy[i]) * static_cast<double>(given.gamma[i]); };
  for (int64_t i = 0; i < given.n; ++i) sum += weighted(i) * static_cast<double>(x[i]);
  const double mean = sum * r * r / static_cast<double>(given.n);
  for (int64_t i = 0; i < given.n; ++i)
    store_float(dx + row * given.n + i, static_cast<float>((weighted(i) - static_cast<double>(x[i]) * mean) * r));
}

// Columns [begin, end) of the sum over rows.
void add_rows(const BackwardRows& given, int64_t begin, int64_t end, float* dgamma) {
  for (int64_t i = begin; i < end; ++i) {
    double sum = 0;
    for (int64_t row = 0; row < given.rows; ++row) {
      const int64_t at = row * given.n + i;
      sum +=
          static_cast<double>(given.dy[at]) * static_cast<double>(given.x[at]) * static_cast<double>(given.rstd[row]);
    }
    store_float(dgamma + i, static_cast<float>(sum));
  }
}

Status run_backward(const RmsNormBackward& op, Work& work) {
  const int64_t n = op.gamma.elements();
  if (n == 0) return {};
  const BackwardRows given{op.dy.elements() / n,      n,
                           as_floats(op.dy, work),    as_floats(op.x, work),
                           op.rstd.as<const float>(), as_floats(op.gamma, work)};
  float *dx = room_for(op.dx, work), *dgamma = room_for(op.dgamma, work);
  if (given.dy == nullptr || given.x == nullptr || given.gamma == nullptr || dx == nullptr || dgamma == nullptr)
    return no_scratch("rms_norm_backward", "values as f32");
  work.lane.team->parallel_for(given.rows, rows_at_once(n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) turn_back(given, row, dx);
  });
  work.lane.team->parallel_for(n, rows_at_once(given.rows),
                               [&](int64_t begin, int64_t end) { add_rows(given, begin, end, dgamma); });
  give(dx, op.dx, work);
  give(dgamma, op.dgamma, work);
  return {};
}

}  // namespace

template <>
const OperatorTable<LayerNorm>& table_of<LayerNorm>() {
  static constexpr OperatorTable<LayerNorm> kTable{
      "layer_norm", "y = (x - mean) / sqrt(variance + epsilon) * gamma + beta", kLayer, kLayerNumbers, nullptr,
      run_layer};
  return kTable;
}

template <>
const OperatorTable<RmsNormBackward>& table_of<RmsNormBackward>() {
  static constexpr OperatorTable<RmsNormBackward> kTable{
      "rms_norm_backward",
      "dx = rstd * (dy * gamma - x * rstd^2 * mean(dy * gamma * x)), dgamma = sum(dy * x * rstd)",
      kBackward,
      {},
      nullptr,
      run_backward};
  return kTable;
}

Expected<Plan> plan(const LayerNorm& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const RmsNormBackward& op, Device&) { return plan_single(op); }

}  // namespace tandem
