// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/elementwise.h"

#include <algorithm>

#include "tandem/exec/team.h"
#include "tandem/ops/convert.h"
#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kFloats = "f32 f16 bf16";

constexpr std::string_view kNumbers = "f32 f16 bf16 f64 i8 u8 i16 u16 i32 u32 i64 u64 i4";

constexpr Field<Cast> kCast[] = {
    {{"x", Role::input, kNumbers, "", "what is converted"}, &Cast::x},
    {{"y", Role::output, kNumbers, "=x", "the same values, rounded once"}, &Cast::y},
};

constexpr Field<Activation> kActivation[] = {
    {{"x", Role::input, kFloats, "", "arguments"}, &Activation::x},
    {{"y", Role::output, "=x", "=x", "values"}, &Activation::y},
};
constexpr Number<Activation> kActivationNumbers[] = {{"alpha", "factor of scale", &Activation::alpha, {}}};

constexpr Field<Arithmetic> kArithmetic[] = {
    {{"y", Role::output, "f32 f16 bf16 i32", "", "results", Layout::copied}, &Arithmetic::y},
    {{"a", Role::input, "=y", "", "left operand", Layout::own}, &Arithmetic::a},
    {{"b", Role::input, "=y", "", "right operand", Layout::own}, &Arithmetic::b},
};
constexpr Number<Arithmetic> kArithmeticNumbers[] = {{"alpha", "factor of b", &Arithmetic::alpha, {}}};

constexpr Field<Swiglu> kSwiglu[] = {
    {{"x", Role::input, kFloats, "", "two halves along dim"}, &Swiglu::x},
    {{"y", Role::output, "=x", "", "half of x"}, &Swiglu::y},
};
constexpr Number<Swiglu> kSwigluNumbers[] = {{"dim", "where x is halved", &Swiglu::dim, {-8, 7}}};

constexpr Field<Softmax> kSoftmax[] = {
    {{"x", Role::input, kFloats, "", "logits"}, &Softmax::x},
    {{"y", Role::output, "=x", "=x", "probabilities"}, &Softmax::y},
};
constexpr Number<Softmax> kSoftmaxNumbers[] = {{"dim", "where the sum runs", &Softmax::dim, {-8, 7}}};

// Two share a byte, and only integers have a meaning in so few bits.
void check_cast(Check& check, const Cast& op) {
  if (op.x.dtype != DType::i4 && op.y.dtype != DType::i4) return;
  check.that(!is_float(op.x.dtype) && !is_float(op.y.dtype), "y is {} for x {}, integers beside i4 wanted",
             op.y.describe(), op.x.describe());
  check.that(op.x.contiguous() && op.y.contiguous(), "x {} or y {} has gaps, dense ones wanted beside i4",
             op.x.describe(), op.y.describe());
}

Status run_cast(const Cast& op, Work& work) {
  const bool narrow = op.x.dtype != DType::f64 && op.y.dtype != DType::f64 && is_float(op.y.dtype);
  if (!narrow || !(is_float(op.x.dtype) || op.x.dtype == DType::i32)) {
    const int64_t count = op.x.elements();
    work.lane.team->parallel_for((count + 1) / 2, grain_of(2), [&](int64_t begin, int64_t end) {
      convert({op.x.data, op.x.dtype, op.y.data, op.y.dtype}, 2 * begin, std::min(2 * end, count));
    });
    return {};
  }
  work.kernels.reduce.cast({op.x.elements(), op.x.data, op.x.dtype, op.y.data, op.y.dtype}, work.lane);
  return {};
}

Status run_activation(const Activation& op, Work& work) {
  const auto alpha = static_cast<float>(op.alpha);
  work.kernels.elementwise.unary({op.x.elements(), op.x.data, op.y.data, op.x.dtype, op.op, alpha}, work.lane);
  return {};
}

void check_arithmetic(Check& check, const Arithmetic& op) {
  check.that(broadcasts(op.a, op.y), "a is {}, a shape that broadcasts to y {} wanted", op.a.describe(),
             op.y.describe());
  check.that(broadcasts(op.b, op.y), "b is {}, a shape that broadcasts to y {} wanted", op.b.describe(),
             op.y.describe());
  check.that(op.y.dtype != DType::i32 || op.op != Binary::divide, "y {} is an integer quotient, floats wanted",
             op.y.describe());
  check.that(op.y.dtype != DType::i32 || op.alpha == 1, "alpha is {} for integers, 1 wanted", op.alpha);
}

Status run_arithmetic(const Arithmetic& op, Work& work) {
  const int64_t count = op.y.elements();
  const void* a = dense_copy(spread(op.a, op.y), work.lane).data;
  const void* b = dense_copy(spread(op.b, op.y), work.lane).data;
  if (a == nullptr || b == nullptr) return no_scratch("arithmetic", "an operand");
  if (op.alpha != 1) {
    void* scaled = work.lane.scratch->take(op.y.bytes());
    if (scaled == nullptr) return no_scratch("arithmetic", "alpha * b");
    work.kernels.elementwise.unary({count, b, scaled, op.y.dtype, Unary::scale, static_cast<float>(op.alpha)},
                                   work.lane);
    b = scaled;
  }
  work.kernels.elementwise.binary({count, a, b, 0, op.y.data, op.y.dtype, op.op}, work.lane);
  return {};
}

// Elements of one index before, of, and behind dimension `dim`.
struct Split {
  int64_t outer = 1, middle = 1, inner = 1;
};

Split split_at(const TensorView& tensor, int64_t dim) {
  Split split;
  const int64_t axis = dim < 0 ? dim + tensor.rank : dim;
  for (int i = 0; i < tensor.rank; ++i)
    (i < axis ? split.outer : i == axis ? split.middle : split.inner) *= tensor.dim(i);
  return split;
}

void check_dim(Check& check, int64_t dim, const TensorView& x) {
  check.that(dim >= -x.rank && dim < x.rank, "dim is {}, a dimension of x {} wanted", dim, x.describe());
}

void check_swiglu(Check& check, const Swiglu& op) {
  check_dim(check, op.dim, op.x);
  if (check.failed()) return;
  const auto axis = static_cast<int>(op.dim);
  check.that(op.x.dim(axis) % 2 == 0, "x {} has an odd dimension {}, an even one wanted", op.x.describe(), op.dim);
  TensorView half = op.x;
  half.shape[static_cast<size_t>(axis < 0 ? axis + op.x.rank : axis)] /= 2;
  check.that(op.y.same_shape(half), "y is {}, {} wanted", op.y.describe(), half.describe());
}

Status run_swiglu(const Swiglu& op, Work& work) {
  const Split split = split_at(op.x, op.dim);
  SwigluArgs args;
  args.rows = split.outer;
  args.n = split.middle / 2 * split.inner;
  args.gate = op.x.data;
  args.up = row_of(op.x, 1, args.n);
  args.gate_row_bytes = args.up_row_bytes = row_bytes(op.x.dtype, 2 * args.n);
  args.y = op.y.data;
  args.y_row_bytes = row_bytes(op.y.dtype, args.n);
  args.dtype = op.x.dtype;
  work.kernels.moe.swiglu(args, work.lane);
  return {};
}

void check_softmax(Check& check, const Softmax& op) { check_dim(check, op.dim, op.x); }

// The view with its dimension `dim` last.
TensorView with_last(TensorView view, int64_t dim) {
  const auto axis = static_cast<size_t>(dim < 0 ? dim + view.rank : dim), last = static_cast<size_t>(view.rank - 1);
  std::swap(view.shape[axis], view.shape[last]);
  std::swap(view.stride[axis], view.stride[last]);
  return view;
}

Status run_softmax(const Softmax& op, Work& work) {
  const TensorView x = with_last(op.x, op.dim), y = with_last(op.y, op.dim);
  const int64_t n = x.dim(-1), bytes = row_bytes(x.dtype, n);
  const TensorView turned = dense_copy(x, work.lane);
  if (turned.data == nullptr) return no_scratch("softmax", "the rows");
  void* to = y.contiguous() ? y.data : turned.data;
  work.kernels.norm.softmax({x.elements() / n, n, turned.data, bytes, to, bytes, x.dtype}, work.lane);
  if (!y.contiguous()) copy_elements(turned, y, work.lane);
  return {};
}

}  // namespace

template <>
const OperatorTable<Cast>& table_of<Cast>() {
  static constexpr OperatorTable<Cast> kTable{"cast", "y = x in the dtype of y", kCast, {}, check_cast, run_cast};
  return kTable;
}

template <>
const OperatorTable<Activation>& table_of<Activation>() {
  static constexpr OperatorTable<Activation> kTable{"activation",       "y = op(x)", kActivation,
                                                    kActivationNumbers, nullptr,     run_activation};
  return kTable;
}

template <>
const OperatorTable<Arithmetic>& table_of<Arithmetic>() {
  static constexpr OperatorTable<Arithmetic> kTable{"arithmetic",       "y = a op (alpha * b)", kArithmetic,
                                                    kArithmeticNumbers, check_arithmetic,       run_arithmetic};
  return kTable;
}

template <>
const OperatorTable<Swiglu>& table_of<Swiglu>() {
  static constexpr OperatorTable<Swiglu> kTable{
      "swiglu", "y = silu(left half of x) * right half of x", kSwiglu, kSwigluNumbers, check_swiglu, run_swiglu};
  return kTable;
}

template <>
const OperatorTable<Softmax>& table_of<Softmax>() {
  static constexpr OperatorTable<Softmax> kTable{
      "softmax", "y = exp(x - max) / sum(exp(x - max))", kSoftmax, kSoftmaxNumbers, check_softmax, run_softmax};
  return kTable;
}

Expected<Plan> plan(const Cast& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const Activation& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const Arithmetic& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const Swiglu& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const Softmax& op, Device&) { return plan_single(op); }

}  // namespace tandem
