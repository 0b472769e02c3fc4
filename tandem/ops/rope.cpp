// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/rope.h"

#include <cstring>
#include <numeric>
#include <utility>

#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kFloats = "f32 f16 bf16";
constexpr Field<Rope> kRope[] = {
    {{"cos", Role::input, kFloats, "", "cosine for each row and column of a head"}, &Rope::cos},
    {{"sin", Role::input, "=cos", "=cos", "sine, like cos"}, &Rope::sin},
    {{"query", Role::inout, "=cos", "", "turned in place"}, &Rope::query},
    {{"query_out", Role::option_output, "=query", "=query", "the turned query instead"}, &Rope::query_out},
    {{"key", Role::option_inout, "=cos", "", "turned in place"}, &Rope::key},
};
constexpr Number<Rope> kNumbers[] = {
    {"head_dim", "columns of a head; 0: the last dimension of cos", &Rope::head_dim, {0, 65536}}};

int64_t head_dim(const Rope& op) { return op.head_dim > 0 ? op.head_dim : op.cos.dim(-1); }
int64_t angle_rows(const Rope& op) { return op.cos.elements() / head_dim(op); }

void check_heads(Check& check, std::string_view name, const TensorView& x, const Rope& op) {
  if (!x.present() || check.failed()) return;
  check.rank(name, x, 1, TensorView::kMaxRank);
  const int64_t dim = head_dim(op);
  check.that(x.rank > 0 && x.dim(-1) % dim == 0, "{} {} has {} columns, a multiple of head_dim {} wanted", name,
             x.describe(), x.rank > 0 ? x.dim(-1) : 0, dim);
  check.that(x.elements() % (angle_rows(op) * dim) == 0, "{} {} does not consist of the {} rows of cos {}", name,
             x.describe(), angle_rows(op), op.cos.describe());
  // Rows of cos are the leading dimensions: they may not run into a head.
  int64_t rows = 1;
  for (int axis = 0; axis < x.rank && rows < angle_rows(op); ++axis) rows *= x.dim(axis);
  check.that(rows == angle_rows(op), "cos {} has {} rows, the leading dimensions of {} {} wanted", op.cos.describe(),
             angle_rows(op), name, x.describe());
}

void check_rope(Check& check, const Rope& op) {
  check.rank("cos", op.cos, 1, TensorView::kMaxRank);
  if (check.failed()) return;
  const int64_t dim = head_dim(op), pairs = op.form == RopeForm::quarter ? 4 : 2;
  check.that(dim > 0 && dim % pairs == 0, "cos {} has heads of {} columns, a positive multiple of {} wanted",
             op.cos.describe(), dim, pairs);
  check.that(op.cos.dim(-1) == dim, "cos is {}, {} columns wanted (head_dim)", op.cos.describe(), dim);
  if (check.failed() || op.cos.elements() == 0) return;
  check_heads(check, "query", op.query, op);
  check_heads(check, "key", op.key, op);
}

// The columns of a head that turn by angle i.
std::pair<int64_t, int64_t> pair_of(RopeForm form, int64_t dim, int64_t i) {
  const int64_t half = dim / 2, quarter = dim / 4;
  if (form == RopeForm::interleave) return {2 * i, 2 * i + 1};
  if (form == RopeForm::half) return {i, i + half};
  return i < quarter ? std::pair(i, i + quarter) : std::pair(i + quarter, i + half);
}

// Angles of a call as the kernels want them.
struct Angles {
  float* low;   // [rows][dim / 2] of the first column of a pair
  float* high;  // of the second; equal in every table of a real model
  bool same = true;
};

Expected<Angles> angles_of(const TensorView& table, const Rope& op, Work& work) {
  const int64_t dim = head_dim(op), rows = angle_rows(op), half = dim / 2;
  const TensorView wide = scratch_matrix(work.lane, DType::f32, rows, dim);
  Angles angles{work.lane.scratch->take_array<float>(rows * half), work.lane.scratch->take_array<float>(rows * half)};
  if (wide.data == nullptr || angles.low == nullptr || angles.high == nullptr) return no_scratch("rope", "the angles");
  work.kernels.reduce.cast({rows * dim, table.data, table.dtype, wide.data, DType::f32}, work.lane);
  const auto* values = wide.as<const float>();
  for (int64_t i = 0; i < rows * half; ++i) {
    const auto [a, b] = pair_of(op.form, dim, i % half);
    angles.low[i] = values[i / half * dim + a];
    angles.high[i] = values[i / half * dim + b];
    angles.same = angles.same && angles.low[i] == angles.high[i];
  }
  return angles;
}

void turn(const TensorView& x, void* memory, const Rope& op, const float* cos, const float* sin,
          const int64_t* positions, Work& work) {
  RopeArgs args;
  args.rows = angle_rows(op);
  args.head_dim = head_dim(op);
  args.heads = x.elements() / (args.rows * args.head_dim);
  args.x = memory;
  args.row_bytes = row_bytes(x.dtype, args.heads * args.head_dim);
  args.dtype = x.dtype;
  args.cos = cos;
  args.sin = sin;
  args.positions = positions;
  args.form = op.form;
  work.kernels.rope.rope(args, work.lane);
}

// Tables whose pairs differ: turned by both, and every column takes its own.
Status turn_apart(const TensorView& x, const Rope& op, const Angles& cos, const Angles& sin, const int64_t* positions,
                  Work& work) {
  const size_t element = dtype_bytes(x.dtype, 1);
  auto* other = static_cast<char*>(work.lane.scratch->take(x.bytes()));
  if (other == nullptr) return no_scratch("rope", "a second result");
  std::memcpy(other, x.data, x.bytes());
  turn(x, x.data, op, cos.low, sin.low, positions, work);
  turn(x, other, op, cos.high, sin.high, positions, work);
  const int64_t dim = head_dim(op), half = dim / 2;
  for (int64_t i = 0; i < x.elements() / 2; ++i) {
    const int64_t second = i / half * dim + pair_of(op.form, dim, i % half).second;
    const size_t at = static_cast<size_t>(second) * element;
    std::memcpy(x.as<char>() + at, other + at, element);
  }
  return {};
}

Status run_rope(const Rope& op, Work& work) {
  if (op.cos.elements() == 0) return {};
  if (op.query_out.present()) copy_elements(op.query, op.query_out, work.lane);
  const TensorView& query = op.query_out.present() ? op.query_out : op.query;
  const auto cos = angles_of(op.cos, op, work), sin = angles_of(op.sin, op, work);
  if (!cos || !sin) return fail(cos ? sin.error() : cos.error());
  auto* positions = work.lane.scratch->take_array<int64_t>(angle_rows(op));
  if (positions == nullptr) return no_scratch("rope", "the positions");
  std::iota(positions, positions + angle_rows(op), int64_t{0});
  for (const TensorView* x : {&query, &op.key}) {
    if (!x->present() || x->elements() == 0) continue;
    if (cos->same && sin->same) {
      turn(*x, x->data, op, cos->low, sin->low, positions, work);
    } else if (auto status = turn_apart(*x, op, *cos, *sin, positions, work); !status) {
      return status;
    }
  }
  return {};
}

}  // namespace

template <>
const OperatorTable<Rope>& table_of<Rope>() {
  static constexpr OperatorTable<Rope> kTable{"rope",  "x = x * cos + turned(x) * sin", kRope, kNumbers, check_rope,
                                              run_rope};
  return kTable;
}

Expected<Plan> plan(const Rope& op, Device&) { return plan_single(op); }

}  // namespace tandem
