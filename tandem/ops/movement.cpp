// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/movement.h"

#include <cstring>

#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kAny = "f32 f16 bf16 f64 i8 u8 i16 u16 i32 u32 i64 u64";

constexpr Field<Copy> kCopy[] = {
    {{"x", Role::input, kAny, "", "what is copied", Layout::own}, &Copy::x},
    {{"y", Role::output, "=x", "=x", "the same bits", Layout::own}, &Copy::y},
};

constexpr Field<Gather> kGather[] = {
    {{"x", Role::input, kAny, "", "entries along axis"}, &Gather::x},
    {{"index", Role::input, "i32 i64", "", "numbers of entries"}, &Gather::index},
    {{"y", Role::output, "=x", "", "the entries named"}, &Gather::y},
};
constexpr Number<Gather> kGatherNumbers[] = {{"axis", "dimension of x that is indexed", &Gather::axis, {-8, 7}}};

Status run_copy(const Copy& op, Work& work) {
  copy_elements(op.x, op.y, work.lane);
  return {};
}

int axis_of(const Gather& op) { return static_cast<int>(op.axis < 0 ? op.axis + op.x.rank : op.axis); }

void check_gather(Check& check, const Gather& op) {
  const int axis = axis_of(op);
  check.that(axis >= 0 && axis < op.x.rank, "axis is {}, a dimension of x {} wanted", op.axis, op.x.describe());
  check.that(op.x.rank - 1 + op.index.rank <= TensorView::kMaxRank, "index {} gives x {} more than {} dimensions",
             op.index.describe(), op.x.describe(), TensorView::kMaxRank);
  if (check.failed()) return;
  TensorView wanted = op.index;
  wanted.rank = 0;
  const auto push = [&](int64_t size) { wanted.shape[wanted.rank++] = size; };
  for (int i = 0; i < axis; ++i) push(op.x.dim(i));
  for (int i = 0; i < op.index.rank; ++i) push(op.index.dim(i));
  for (int i = axis + 1; i < op.x.rank; ++i) push(op.x.dim(i));
  wanted.dtype = op.x.dtype;
  check.that(op.y.same_shape(wanted), "y is {}, {} wanted", op.y.describe(), wanted.describe());
}

int64_t number_at(const TensorView& index, int64_t i) {
  return index.dtype == DType::i32 ? index.as<const int32_t>()[i] : index.as<const int64_t>()[i];
}

Status run_gather(const Gather& op, Work&) {
  const int axis = axis_of(op);
  const int64_t entries = op.x.dim(axis), count = op.index.elements();
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= op.x.dim(i);
  for (int i = axis + 1; i < op.x.rank; ++i) inner *= op.x.dim(i);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t number = number_at(op.index, i);
    if (number < 0 || number >= entries) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("gather: index {} is {}, 0 to {} wanted", i, number, entries - 1));
    }
  }
  const auto bytes = static_cast<size_t>(row_bytes(op.x.dtype, inner));
  for (int64_t row = 0; row < outer * count; ++row) {
    const int64_t from = row / count * entries + number_at(op.index, row % count);
    std::memcpy(row_of(op.y, row, inner), row_of(op.x, from, inner), bytes);
  }
  return {};
}

}  // namespace

template <>
const OperatorTable<Copy>& table_of<Copy>() {
  static constexpr OperatorTable<Copy> kTable{"copy", "y = x", kCopy, {}, nullptr, run_copy};
  return kTable;
}

template <>
const OperatorTable<Gather>& table_of<Gather>() {
  static constexpr OperatorTable<Gather> kTable{
      "gather", "y[.., i, ..] = x[.., index[i], ..]", kGather, kGatherNumbers, check_gather, run_gather};
  return kTable;
}

Expected<Plan> plan(const Copy& op, Device&) { return plan_single(op); }
Expected<Plan> plan(const Gather& op, Device&) { return plan_single(op); }

}  // namespace tandem
