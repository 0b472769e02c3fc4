// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/quantize.h"

#include <bit>

#include "tandem/base/half.h"
#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kLast =
    "n | 1 n | 1 1 n | 1 1 1 n | 1 1 1 1 n | 1 1 1 1 1 n | 1 1 1 1 1 1 n | "
    "1 1 1 1 1 1 1 n | 1";

constexpr Field<Quantize> kQuantize[] = {
    {{"x", Role::input, "f32 f16 bf16", "rows.. n", "activations"}, &Quantize::x},
    {{"scale", Role::input, "f32 f16 bf16", kLast, "one for each column, or one for all"}, &Quantize::scale},
    {{"offset", Role::option, "=scale i8 i32", kLast, "like scale; 0 where absent"}, &Quantize::offset},
    {{"y", Role::output, "i8 i4", "=x", "integers"}, &Quantize::y},
};
constexpr Number<Quantize> kQuantizeNumbers[] = {
    {"square", "apply the scale twice", &Quantize::square, {0, 1}},
    {"divide", "divide by the scale", &Quantize::divide, {0, 1}},
    {"offset_last", "add the offset behind the rounding", &Quantize::offset_last, {0, 1}}};

constexpr Field<Dequantize> kDequantize[] = {
    {{"x", Role::input, "i8 i4 i32", "rows.. n", "integers"}, &Dequantize::x},
    {{"scale", Role::input, "f32 f16 bf16", kLast, "one for each column, or one for all"}, &Dequantize::scale},
    {{"offset", Role::option, "=scale", kLast, "added before scaling; 0 where absent"}, &Dequantize::offset},
    {{"y", Role::output, "f32 f16 bf16", "=x", "real numbers"}, &Dequantize::y},
};
constexpr Number<Dequantize> kDequantizeNumbers[] = {{"square", "apply the scale twice", &Dequantize::square, {0, 1}}};

constexpr Field<DynamicQuant> kDynamic[] = {
    {{"x", Role::input, "f32 f16 bf16", "rows.. n", "activations"}, &DynamicQuant::x},
    {{"smooth", Role::option, "=x", "n | groups n", "factor of each column"}, &DynamicQuant::smooth},
    {{"group", Role::option, "i32 i64", "groups", "first row behind each group"}, &DynamicQuant::group},
    {{"y", Role::output, "i8 i4", "=x", "integers", Layout::dense}, &DynamicQuant::y},
    {{"scale", Role::output, "f32", "rows..", "of each row", Layout::dense}, &DynamicQuant::scale},
    {{"offset", Role::option_output, "f32", "rows..", "of each row; asymmetric", Layout::dense}, &DynamicQuant::offset},
};

constexpr Field<TransQuantParam> kTrans[] = {
    {{"scale", Role::input, "f32", "n | 1 n", "scales"}, &TransQuantParam::scale},
    {{"offset", Role::option, "f32", "n | 1 n", "offsets of int8 results"}, &TransQuantParam::offset},
    {{"y", Role::output, "u64 i64", "=scale", "words"}, &TransQuantParam::y},
};
constexpr Number<TransQuantParam> kTransNumbers[] = {
    {"round", "round the mantissa instead of cutting it off", &TransQuantParam::round, {0, 1}}};

// An even count of elements a row where two share a byte.
void check_pairs(Check& check, std::string_view name, const TensorView& tensor) {
  if (tensor.dtype != DType::i4) return;
  check.that(tensor.rank > 0 && tensor.dim(-1) % 2 == 0, "{} {} has an odd last dimension, an even one wanted for i4",
             name, tensor.describe());
}

void check_quantize(Check& check, const Quantize& op) {
  check_pairs(check, "y", op.y);
  // Vectors of another dtype than 16-bit activations would lose what the caller calibrated.
  if (op.x.dtype != DType::f32) {
    check.that(op.scale.dtype == op.x.dtype || op.scale.dtype == DType::f32,
               "scale {} has dtype {}, {} wanted (that of x)", op.scale.describe(), dtype_name(op.scale.dtype),
               dtype_name(op.x.dtype));
  }
  const bool integer = op.offset.dtype == DType::i8 || op.offset.dtype == DType::i32;
  check.that(!integer || op.divide, "offset {} has dtype {}, {} wanted (that of scale)", op.offset.describe(),
             dtype_name(op.offset.dtype), dtype_name(op.scale.dtype));
}

// Rows of the last dimension of x and y.
template <class Op, class Args>
void bind_rows(const Op& op, Args& args) {
  args.n = op.x.dim(-1);
  args.rows = op.x.elements() / args.n;
  args.x = op.x.data;
  args.x_dtype = op.x.dtype;
  args.x_row_bytes = row_bytes(op.x.dtype, args.n);
  args.y = op.y.data;
  args.y_dtype = op.y.dtype;
  args.y_row_bytes = row_bytes(op.y.dtype, args.n);
}

Status run_quantize(const Quantize& op, Work& work) {
  const auto scale = per_column(op.scale, "quantize", work), offset = per_column(op.offset, "quantize", work);
  if (!scale || !offset) return fail(scale ? offset.error() : scale.error());
  QuantizeArgs args;
  bind_rows(op, args);
  args.scale = *scale;
  args.offset = *offset;
  args.rounding = op.rounding;
  args.square = op.square;
  args.divide = op.divide;
  args.offset_last = op.offset_last;
  work.kernels.quant.quantize(args, work.lane);
  return {};
}

void check_dequantize(Check& check, const Dequantize& op) { check_pairs(check, "x", op.x); }

Status run_dequantize(const Dequantize& op, Work& work) {
  const auto scale = per_column(op.scale, "dequantize", work), offset = per_column(op.offset, "dequantize", work);
  if (!scale || !offset) return fail(scale ? offset.error() : scale.error());
  DequantizeArgs args;
  bind_rows(op, args);
  args.scale = *scale;
  args.offset = *offset;
  args.square = op.square;
  work.kernels.quant.dequantize(args, work.lane);
  return {};
}

void check_dynamic(Check& check, const DynamicQuant& op) {
  check.rank("x", op.x, 2, TensorView::kMaxRank);
  check_pairs(check, "y", op.y);
  check.that(!op.smooth.present() || (op.smooth.rank == 2) == op.group.present(),
             "smooth is {} and group {}, one row of smooth for each group wanted", op.smooth.describe(),
             op.group.describe());
  check.that(op.smooth.present() || !op.group.present(), "smooth is absent, a row for each group wanted");
}

int64_t entry(const TensorView& tensor, int64_t i) {
  return tensor.dtype == DType::i32 ? tensor.as<const int32_t>()[i] : tensor.as<const int64_t>()[i];
}

// The row of smooth each row of x uses.
Expected<const int32_t*> smooth_rows(const DynamicQuant& op, int64_t rows, Work& work) {
  auto* of_row = work.lane.scratch->take_array<int32_t>(rows);
  if (of_row == nullptr) return fail(ErrorCode::out_of_memory, "dynamic_quant: scratch for the groups was refused");
  int64_t row = 0;
  for (int64_t group = 0; group < op.group.elements() && row < rows; ++group) {
    const int64_t end = entry(op.group, group);
    if (end < row || end > rows) {
      return fail(
          ErrorCode::invalid_argument,
          fmt::format("dynamic_quant: group {} ends at row {}, a value in [{}, {}] wanted", group, end, row, rows));
    }
    for (; row < end; ++row) of_row[row] = static_cast<int32_t>(group);
  }
  if (row != rows) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("dynamic_quant: the groups end at row {}, {} wanted (the rows of x)", row, rows));
  }
  return of_row;
}

Status run_dynamic(const DynamicQuant& op, Work& work) {
  DynamicQuantArgs args;
  args.n = op.x.dim(-1);
  args.rows = op.scale.elements();
  args.x = op.x.data;
  args.x_dtype = op.x.dtype;
  args.x_row_bytes = row_bytes(op.x.dtype, args.n);
  args.smooth = op.smooth.data;
  if (op.group.present()) {
    const auto rows = smooth_rows(op, args.rows, work);
    if (!rows) return fail(rows.error());
    args.smooth_row = *rows;
  }
  args.y = op.y.data;
  args.y_dtype = op.y.dtype;
  args.y_row_bytes = row_bytes(op.y.dtype, args.n);
  args.scale = op.scale.as<float>();
  args.offset = op.offset.as<float>();
  work.kernels.quant.dynamic_quant(args, work.lane);
  return {};
}

void check_trans(Check& check, const TransQuantParam& op) {
  check.that(!op.offset.present() || op.offset.elements() == 1 || op.offset.elements() == op.scale.elements(),
             "offset is {}, the shape of scale {} or [1] wanted", op.offset.describe(), op.scale.describe());
}

Status run_trans(const TransQuantParam& op, Work&) {
  const auto* scale = op.scale.as<const float>();
  const auto* offset = op.offset.as<const float>();
  const int64_t step = op.offset.elements() > 1 ? 1 : 0;
  for (int64_t i = 0; i < op.scale.elements(); ++i) {
    op.y.as<uint64_t>()[i] = encode_scale(scale[i], offset == nullptr ? 0 : offset[i * step], op.round);
  }
  return {};
}

}  // namespace

uint64_t encode_scale(float scale, float offset, bool round) {
  constexpr uint32_t kRead = 0xffffe000u;
  uint32_t bits = std::bit_cast<uint32_t>(scale);
  const uint32_t exponent = bits & 0x7f800000u;
  if (round && exponent == 0) bits &= 0x80000000u;
  if (round && exponent != 0 && exponent != 0x7f800000u) bits += 0xfffu + ((bits >> 13) & 1u);
  const float bounded = offset < -256.0f ? -256.0f : offset > 255.0f ? 255.0f : offset;
  // Adding 1.5 * 2^23 rounds half to even at the unit; NaN gives 0.
  const int32_t integer = offset != offset ? 0 : std::bit_cast<int32_t>(bounded + 12582912.0f) - 0x4b400000;
  return (bits & kRead) | uint64_t{1} << 46 | static_cast<uint64_t>(integer & 0x1ff) << 37;
}

float decode_scale(uint64_t word) { return std::bit_cast<float>(static_cast<uint32_t>(word) & 0xffffe000u); }

template <>
const OperatorTable<Quantize>& table_of<Quantize>() {
  static constexpr OperatorTable<Quantize> kTable{
      "quantize", "y = sat(round(x * scale + offset))", kQuantize, kQuantizeNumbers, check_quantize, run_quantize};
  return kTable;
}

template <>
const OperatorTable<Dequantize>& table_of<Dequantize>() {
  static constexpr OperatorTable<Dequantize> kTable{"dequantize",       "y = (x + offset) * scale", kDequantize,
                                                    kDequantizeNumbers, check_dequantize,           run_dequantize};
  return kTable;
}

template <>
const OperatorTable<DynamicQuant>& table_of<DynamicQuant>() {
  static constexpr OperatorTable<DynamicQuant> kTable{
      "dynamic_quant", "scale = max|x * smooth| / 127, y = sat8(round(x * smooth / scale))",
      kDynamic,        {},
      check_dynamic,   run_dynamic};
  return kTable;
}

template <>
const OperatorTable<TransQuantParam>& table_of<TransQuantParam>() {
  static constexpr OperatorTable<TransQuantParam> kTable{
      "trans_quant_param",
      "y = bits(scale) & 0xffffe000 | 1 << 46 | (offset & 0x1ff) << 37",
      kTrans,
      kTransNumbers,
      check_trans,
      run_trans};
  return kTable;
}

Expected<Plan> plan(const Quantize& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const Dequantize& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const DynamicQuant& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const TransQuantParam& op, Device&) { return plan_single(op); }

}  // namespace tandem
