// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/matmul.h"

#include "tandem/exec/team.h"
#include "tandem/ops/batch.h"
#include "tandem/ops/convert.h"

namespace tandem {
namespace {

constexpr std::string_view kFloats = "f32 f16 bf16";
constexpr std::string_view kPanelText = "columns of the panels it is packed in; 0: not packed";
constexpr Range kPanelRange{0, kPanel};

constexpr Field<Matmul> kMatmul[] = {
    {{"a", Role::input, kFloats, "", "(batch.., m, k), or a vector of k", Layout::own}, &Matmul::a},
    {{"b", Role::input, "=a", "", "(batch.., k, n), or a vector of k", Layout::own}, &Matmul::b},
    {{"c", Role::option, kFloats, "", "added; broadcasts to y", Layout::own}, &Matmul::c},
    {{"y", Role::output, "=a f32", "", "(batch.., m, n)"}, &Matmul::y},
};
constexpr Number<Matmul> kMatmulNumbers[] = {{"alpha", "factor of the product", &Matmul::alpha, {}},
                                             {"beta", "factor of c", &Matmul::beta, {}},
                                             {"b_panel", kPanelText, &Matmul::b_panel, kPanelRange}};

constexpr Field<Linear> kLinear[] = {
    {{"x", Role::input, kFloats, "rows.. k", "activations", Layout::own}, &Linear::x},
    {{"weight", Role::input, "=x", "", "(n, k), or (k, n) without transpose", Layout::own}, &Linear::weight},
    {{"bias", Role::option, kFloats, "", "(n) or (1, n)", Layout::own}, &Linear::bias},
    {{"y", Role::output, "=x f32", "rows.. n", "results"}, &Linear::y},
};
constexpr Number<Linear> kLinearNumbers[] = {{"transpose", "weight is (n, k)", &Linear::transpose, {0, 1}}};

constexpr Field<QuantMatmul> kQuant[] = {
    {{"x1", Role::input, "i8 i4", "", "(batch.., m, k)", Layout::own}, &QuantMatmul::x1},
    {{"x2", Role::input, "i8 i4", "", "(batch.., k, n)", Layout::own}, &QuantMatmul::x2},
    {{"scale", Role::option, "f32 f16 bf16 u64 i64", "1 | 1 n | n", "of each column"}, &QuantMatmul::scale},
    {{"token", Role::option, "f32", "m", "of each row"}, &QuantMatmul::token},
    {{"offset", Role::option, "f32", "1 | n", "of an int8 y"}, &QuantMatmul::offset},
    {{"bias", Role::option, "i32 f32 f16 bf16", "n | 1 n", "added to the sums, or as float to the values"},
     &QuantMatmul::bias},
    {{"y", Role::output, "f16 bf16 f32 i8 i32", "", "(batch.., m, n)"}, &QuantMatmul::y},
};

constexpr Number<QuantMatmul> kQuantNumbers[] = {{"x2_panel", kPanelText, &QuantMatmul::x2_panel, kPanelRange}};

constexpr Field<WeightQuantMatmul> kWeightQuant[] = {
    {{"x", Role::input, kFloats, "rows.. k", "activations", Layout::own}, &WeightQuantMatmul::x},
    {{"weight", Role::input, "i8 i4", "k n", "row-major or transposed", Layout::own}, &WeightQuantMatmul::weight},
    {{"scale", Role::input, kFloats, "1 | 1 1 | n | 1 n | groups n", "of the tensor, column or group", Layout::own},
     &WeightQuantMatmul::scale},
    {{"offset", Role::option, "=scale", "=scale", "added to the weight", Layout::own}, &WeightQuantMatmul::offset},
    {{"bias", Role::option, kFloats, "n | 1 n", "added"}, &WeightQuantMatmul::bias},
    {{"y", Role::output, "=x f32", "rows.. n", "results"}, &WeightQuantMatmul::y},
};
constexpr Number<WeightQuantMatmul> kWeightQuantNumbers[] = {
    {"group", "rows of k for each scale row; 0: one for all", &WeightQuantMatmul::group, {0, 2147483647.0}},
    {"weight_panel", kPanelText, &WeightQuantMatmul::weight_panel, kPanelRange}};

void check_matmul(Check& check, const Matmul& op) {
  check_batch(check, "a", op.a, "b", op.b, op.y);
  check_panel(check, "b", op.b, op.b_panel);
  check.that(!op.c.present() || broadcasts(op.c, op.y), "c is {}, a shape that broadcasts to y {} wanted",
             op.c.describe(), op.y.describe());
}

// sums = rd_f32(sums * alpha) + beta * c
Status add_scaled(const Matmul& op, void* sums, Work& work) {
  const int64_t count = op.y.elements();
  const auto& element = work.kernels.elementwise;
  if (op.alpha != 1)
    element.unary({count, sums, sums, DType::f32, Unary::scale, static_cast<float>(op.alpha)}, work.lane);
  if (!op.c.present() || op.beta == 0) return {};
  const TensorView c = dense_copy(spread(op.c, op.y), work.lane);
  void* wide = work.lane.scratch->take(dtype_bytes(DType::f32, count));
  if (c.data == nullptr || wide == nullptr) return no_scratch("matmul", "c");
  work.kernels.reduce.cast({count, c.data, c.dtype, wide, DType::f32}, work.lane);
  if (op.beta != 1)
    element.unary({count, wide, wide, DType::f32, Unary::scale, static_cast<float>(op.beta)}, work.lane);
  element.binary({count, sums, wide, 0, sums, DType::f32, Binary::add}, work.lane);
  return {};
}

Status multiply(const Matmul& op, std::string_view name, Work& work) {
  Batch batch = batch_of(op.a, op.b, op.y, op.b_panel);
  const bool more = op.alpha != 1 || (op.c.present() && op.beta != 0);
  const bool in_place = op.c.present() && op.c.data == op.y.data;
  if (more && (op.y.dtype != DType::f32 || in_place)) {
    batch.y.dtype = DType::f32;
    batch.y.data = work.lane.scratch->take(batch.y.bytes());
    if (batch.y.data == nullptr) return no_scratch(name, "the sums");
  }
  if (!settle(batch, true, work.lane)) return no_scratch(name, "strided operands");
  const auto one = [&](const Product& product) { return run_product(product, name, work); };
  if (auto status = for_products(batch, one); !status) return status;
  if (!more) return {};
  if (auto status = add_scaled(op, batch.y.data, work); !status) return status;
  if (batch.y.data == op.y.data) return {};
  work.kernels.reduce.cast({op.y.elements(), batch.y.data, DType::f32, op.y.data, op.y.dtype}, work.lane);
  return {};
}

Status run_matmul(const Matmul& op, Work& work) { return multiply(op, "matmul", work); }

Matmul as_matmul(const Linear& op) {
  return {op.x, op.transpose ? op.weight.transposed() : op.weight, op.bias, op.y, 1, 1, 0};
}

void check_linear(Check& check, const Linear& op) {
  check.rank("weight", op.weight, 2, 2);
  if (check.failed()) return;
  const Matmul product = as_matmul(op);
  check_batch(check, "x", product.a, "weight", product.b, op.y);
  check.that(!op.bias.present() || (op.bias.elements() == op.y.dim(-1) && op.bias.rank > 0 &&
                                    op.bias.rank <= op.y.rank && op.bias.dim(-1) == op.y.dim(-1)),
             "bias is {}, [{}] wanted", op.bias.describe(), op.y.dim(-1));
}

Status run_linear(const Linear& op, Work& work) { return multiply(as_matmul(op), "linear", work); }

void check_quant(Check& check, const QuantMatmul& op) {
  constexpr int64_t kMostDepth = 65535;  // 128 * 128 times it fits an int32 sum
  check_batch(check, "x1", op.x1, "x2", op.x2, op.y);
  check_panel(check, "x2", op.x2, op.x2_panel);
  if (check.failed()) return;
  const Batch batch = batch_of(op.x1, op.x2, op.y);
  check.range("k", batch.k, 0, kMostDepth);
  if (op.y.dtype != DType::i32) check.present("scale", op.scale);
  check.that(op.x1.dtype != DType::i4 || op.x1.contiguous(), "x1 {} has gaps, a dense i4 wanted", op.x1.describe());
  check.that(op.y.dtype != DType::i32 || !(op.scale.present() || op.token.present() || is_float(op.bias.dtype)),
             "y {} has dtype i32 with scales, a float or i8 wanted", op.y.describe());
  const auto fits = [&](std::string_view name, const TensorView& tensor, int64_t count, bool single) {
    check.that(!tensor.present() || tensor.elements() == count || (single && tensor.elements() == 1),
               "{} is {}, [{}]{} wanted", name, tensor.describe(), count, single ? " or [1]" : "");
  };
  fits("scale", op.scale, batch.n, true);
  fits("token", op.token, batch.m, false);
  fits("offset", op.offset, batch.n, true);
  fits("bias", op.bias, batch.n, false);
  check.that(!op.offset.present() || op.y.dtype == DType::i8, "offset is {} for y {}, only an i8 y has one",
             op.offset.describe(), op.y.describe());
}

// int4 activations as int8, which the kernels read.
TensorView whole_bytes(const TensorView& x, Work& work) {
  if (x.dtype != DType::i4) return x;
  const int64_t count = x.elements();
  TensorView wide =
      make_tensor(work.lane.scratch->take(dtype_bytes(DType::i8, count)), DType::i8, x.shape.data(), x.rank);
  if (wide.data == nullptr) return wide;
  work.lane.team->parallel_for(count, int64_t{1} << 16, [&](int64_t begin, int64_t end) {
    convert({x.data, x.dtype, wide.data, wide.dtype}, begin, end);
  });
  return wide;
}

Status run_quant(const QuantMatmul& op, Work& work) {
  constexpr std::string_view kName = "quant_matmul";
  const TensorView x1 = whole_bytes(op.x1, work);
  if (x1.data == nullptr) return no_scratch(kName, "x1 as int8");
  Batch batch = batch_of(x1, op.x2, op.y, op.x2_panel);
  if (!settle(batch, !op.token.present(), work.lane)) return no_scratch(kName, "strided operands");
  const auto scale = dequant_column(op.scale, kName, work), offset = per_column(op.offset, kName, work);
  if (!scale || !offset) return fail(scale ? offset.error() : scale.error());
  return for_products(batch, [&](Product product) {
    product.dequant = *scale;
    product.y_offset = *offset;
    product.token = op.token.as<const float>();
    product.bias = op.bias;
    return run_product(product, kName, work);
  });
}

void check_weight_quant(Check& check, const WeightQuantMatmul& op) {
  check_weight_pairs(check, "weight", op.weight);
  check_panel(check, "weight", op.weight, op.weight_panel);
  check.that(plain_matrix(op.weight), "weight {} has strides [{},{}], a row-major or transposed matrix wanted",
             op.weight.describe(), op.weight.step(0), op.weight.step(1));
  const int64_t k = op.weight.dim(0), n = op.weight.dim(1), groups = op.group > 0 ? (k + op.group - 1) / op.group : 1;
  const bool grouped = op.scale.rank == 2 && op.scale.dim(0) == groups && op.scale.dim(1) == n;
  const bool plain = op.scale.elements() == 1 || (op.scale.elements() == n && op.scale.dim(-1) == n);
  check.that(op.group > 0 ? grouped : plain, "scale is {}, {} wanted for group {}", op.scale.describe(),
             op.group > 0 ? fmt::format("[{},{}]", groups, n) : fmt::format("[1], [{}] or [1,{}]", n, n), op.group);
}

Status run_weight_quant(const WeightQuantMatmul& op, Work& work) {
  constexpr std::string_view kName = "weight_quant_matmul";
  Batch batch = batch_of(op.x, op.weight, op.y, op.weight_panel);
  if (!settle(batch, true, work.lane)) return no_scratch(kName, "strided operands");
  return for_products(batch, [&](Product product) {
    product.scale = scale_at(op.scale, product.n);
    product.offset = scale_at(op.offset, product.n);
    product.group = op.group;
    product.bias = op.bias;
    return run_product(product, kName, work);
  });
}

}  // namespace

template <>
const OperatorTable<Matmul>& table_of<Matmul>() {
  static constexpr OperatorTable<Matmul> kTable{
      "matmul", "y = alpha * (a @ b) + beta * c", kMatmul, kMatmulNumbers, check_matmul, run_matmul};
  return kTable;
}

template <>
const OperatorTable<Linear>& table_of<Linear>() {
  static constexpr OperatorTable<Linear> kTable{
      "linear", "y = x @ weight^T + bias", kLinear, kLinearNumbers, check_linear, run_linear};
  return kTable;
}

template <>
const OperatorTable<QuantMatmul>& table_of<QuantMatmul>() {
  static constexpr OperatorTable<QuantMatmul> kTable{
      "quant_matmul", "y = (x1 @ x2 + bias) * scale * token", kQuant, kQuantNumbers, check_quant, run_quant};
  return kTable;
}

template <>
const OperatorTable<WeightQuantMatmul>& table_of<WeightQuantMatmul>() {
  static constexpr OperatorTable<WeightQuantMatmul> kTable{
      "weight_quant_matmul", "y = x @ ((weight + offset) * scale) + bias",
      kWeightQuant,          kWeightQuantNumbers,
      check_weight_quant,    run_weight_quant};
  return kTable;
}

Expected<Plan> plan(const Matmul& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const Linear& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const QuantMatmul& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const WeightQuantMatmul& op, Device&) { return plan_single(op); }

}  // namespace tandem
