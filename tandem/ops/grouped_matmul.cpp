// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/grouped_matmul.h"

#include <algorithm>
#include <utility>

#include "tandem/ops/product.h"

namespace tandem {
namespace {

constexpr std::string_view kFloats = "f32 f16 bf16";
constexpr std::string_view kName = "grouped_matmul";

constexpr Field<GroupedMatmul> kFields[] = {
    {{"x", Role::input, "f32 f16 bf16 i8", "", "rows of the groups"}, nullptr, &GroupedMatmul::x},
    {{"weight", Role::input, "=x i8 i4", "", "E matrices, or (E, k, n)", Layout::own}, nullptr, &GroupedMatmul::weight},
    {{"bias", Role::option, "f32 f16 bf16 i32", "", "(n), or (E, n)"}, nullptr, &GroupedMatmul::bias},
    {{"scale", Role::option, kFloats, "", "of weights"}, nullptr, &GroupedMatmul::scale},
    {{"offset", Role::option, "=scale", "", "added to weights"}, nullptr, &GroupedMatmul::offset},
    {{"dequant", Role::option, "f32 bf16 f16 u64 i64", "", "of int8 products"}, nullptr, &GroupedMatmul::dequant},
    {{"token", Role::option, "f32", "", "of the rows of int8 x"}, nullptr, &GroupedMatmul::token},
    {{"group", Role::option, "i64", "groups", "ends or counts of the groups"}, &GroupedMatmul::group},
    {{"y", Role::output, "f32 f16 bf16 i32", "", "rows of the groups"}, nullptr, &GroupedMatmul::y},
};
constexpr Number<GroupedMatmul> kNumbers[] = {
    {"counts", "group holds counts, not ends", &GroupedMatmul::counts, {0, 1}}};

bool stacked(const GroupedMatmul& op) { return op.weight.size() == 1 && op.weight.front().rank == 3; }
int64_t groups_of(const GroupedMatmul& op) {
  return stacked(op) ? op.weight.front().dim(0) : static_cast<int64_t>(op.weight.size());
}

// Row `index` of the first axis, as a tensor of one dimension less.
TensorView slice(const TensorView& view, int64_t index) {
  TensorView part = view.rows(index, 1);
  --part.rank;
  for (size_t i = 0; i < part.rank; ++i) part.shape[i] = view.shape[i + 1], part.stride[i] = view.stride[i + 1];
  return part;
}

// Group g's part of a list of E tensors, or of one tensor with E rows; absent where there is none.
TensorView part_of(const std::vector<TensorView>& list, int64_t g, int64_t groups) {
  if (list.empty()) return {};
  if (static_cast<int64_t>(list.size()) == groups && !(groups == 1 && list.front().rank > 2))
    return list[static_cast<size_t>(g)];
  return slice(list.front(), g);
}

TensorView weight_of(const GroupedMatmul& op, int64_t g) {
  return stacked(op) ? slice(op.weight.front(), g) : op.weight[static_cast<size_t>(g)];
}

// One tensor holds the rows of all groups.
bool shared(const std::vector<TensorView>& list, int64_t groups) { return list.size() == 1 && groups > 1; }
bool needs_ends(const GroupedMatmul& op) {
  return shared(op.x, groups_of(op)) ||
         (shared(op.y, groups_of(op)) && static_cast<int64_t>(op.x.size()) != groups_of(op));
}

void check_rows(Check& check, std::string_view name, const std::vector<TensorView>& list, int64_t groups,
                int64_t columns, int64_t g) {
  const TensorView& tensor = list[list.size() == 1 ? 0 : static_cast<size_t>(g)];
  check.rank(name, tensor, 2, TensorView::kMaxRank);
  check.that(check.failed() || tensor.dim(-1) == columns, "{} is {}, {} columns wanted (group {} of {})", name,
             tensor.describe(), columns, g, groups);
}

void check_part(Check& check, std::string_view name, const std::vector<TensorView>& list, int64_t g, int64_t groups,
                int64_t n) {
  if (list.empty() || check.failed()) return;
  const bool rows = list.size() == 1 && list.front().rank >= 2 && list.front().dim(0) == groups;
  check.that(rows || static_cast<int64_t>(list.size()) == groups, "{} has {} tensors, {} or one with {} rows wanted",
             name, list.size(), groups, groups);
  if (check.failed()) return;
  const TensorView part = part_of(list, g, groups);
  check.that(part.rank > 0 && (part.dim(-1) == n || part.elements() == 1), "{} is {}, {} columns wanted", name,
             part.describe(), n);
}

void check_group(Check& check, const GroupedMatmul& op, int64_t g) {
  const TensorView weight = weight_of(op, g);
  const int64_t groups = groups_of(op), n = weight.dim(-1);
  check.rank("weight", weight, 2, 2);
  if (check.failed()) return;
  check.that(plain_matrix(weight), "weight {} has strides [{},{}], a row-major or transposed matrix wanted",
             weight.describe(), weight.step(0), weight.step(1));
  check_weight_pairs(check, "weight", weight);
  check_rows(check, "x", op.x, groups, weight.dim(0), g);
  check_rows(check, "y", op.y, groups, n, g);
  for (const auto& [name, list] :
       {std::pair{"bias", &op.bias}, {"scale", &op.scale}, {"offset", &op.offset}, {"dequant", &op.dequant}}) {
    check_part(check, name, *list, g, groups, n);
  }
}

void check_kind(Check& check, const GroupedMatmul& op) {
  const DType x = op.x.front().dtype, w = op.weight.front().dtype;
  const bool integer = x == DType::i8, narrow = w == DType::i8 || w == DType::i4,
             sums = op.y.front().dtype == DType::i32;
  check.that(integer ? w == DType::i8 || w == DType::i4 : narrow || w == x, "weight {} does not go with x {}",
             op.weight.front().describe(), op.x.front().describe());
  check.that(integer || !narrow || !op.scale.empty(), "scale is absent, one wanted for weight {}",
             op.weight.front().describe());
  check.that(!integer || sums || !op.dequant.empty(), "dequant is absent, one wanted for x {}",
             op.x.front().describe());
  check.that(integer || !sums, "y is {}, a float wanted for x {}", op.y.front().describe(), op.x.front().describe());
  check.that(integer || (op.dequant.empty() && op.token.empty()), "dequant or token is given, int8 x wanted");
  check.that((integer && sums) || integer || op.bias.empty() || is_float(op.bias.front().dtype),
             "bias is {}, floats wanted", op.bias.empty() ? "" : op.bias.front().describe());
}

// A scale for each row of x, in as many tensors as x has.
void check_token(Check& check, const GroupedMatmul& op) {
  check.that(op.token.empty() || op.token.size() == op.x.size(), "token has {} tensors, {} wanted (those of x)",
             op.token.size(), op.x.size());
  for (size_t i = 0; i < op.token.size() && !check.failed(); ++i) {
    check.that(op.token[i].elements() == op.x[i].row_count(), "token is {}, [{}] wanted (the rows of x)",
               op.token[i].describe(), op.x[i].row_count());
  }
}

void check_grouped(Check& check, const GroupedMatmul& op) {
  check.present("x", !op.x.empty()).present("weight", !op.weight.empty()).present("y", !op.y.empty());
  if (check.failed()) return;
  const int64_t groups = groups_of(op);
  const auto fits = [&](std::string_view name, const std::vector<TensorView>& list) {
    check.that(list.size() == 1 || static_cast<int64_t>(list.size()) == groups, "{} has {} tensors, 1 or {} wanted",
               name, list.size(), groups);
  };
  fits("x", op.x);
  fits("y", op.y);
  const TensorView& first = op.weight.front();
  const bool whole = first.dtype != DType::i4 || !stacked(op) || first.step(0) % 2 == 0;
  check.that(whole, "weight {} has an odd stride in dimension 0, an even one wanted for i4", first.describe());
  check_kind(check, op);
  for (int64_t g = 0; g < groups && !check.failed(); ++g) check_group(check, op, g);
  check_token(check, op);
  if (check.failed() || !needs_ends(op)) return;
  check.that(op.group.present() != !op.ends.empty(), "group is {} and ends has {} values, one of them wanted",
             op.group.describe(), op.ends.size());
  const int64_t given = op.group.present() ? op.group.elements() : static_cast<int64_t>(op.ends.size());
  check.that(given == groups, "group has {} values, {} wanted (the groups of weight)", given, groups);
  check.that(op.activation == Unary::copy || op.activation == Unary::silu || op.activation == Unary::gelu,
             "activation is unknown, copy, silu or gelu wanted");
}

// Rows [first, last) of x and y that a group has.
struct Rows {
  int64_t x_first = 0, y_first = 0, count = 0;
};

Expected<std::vector<Rows>> rows_of_groups(const GroupedMatmul& op) {
  const int64_t groups = groups_of(op);
  std::vector<Rows> all;
  int64_t row = 0;
  const int64_t most = std::min(shared(op.x, groups) ? op.x.front().row_count() : INT64_MAX,
                                shared(op.y, groups) ? op.y.front().row_count() : INT64_MAX);
  for (int64_t g = 0; g < groups; ++g) {
    const auto at = static_cast<size_t>(g);
    int64_t count = 0;
    if (needs_ends(op)) {
      const int64_t value = op.group.present() ? op.group.as<const int64_t>()[g] : op.ends[at];
      count = op.counts ? value : value - row;
    } else {
      count = op.x[op.x.size() == 1 ? 0 : at].row_count();
    }
    if (count < 0 || count > most - row) {
      return fail(
          ErrorCode::invalid_argument,
          fmt::format("{}: group {} has {} rows from row {}, rising ends up to {} wanted", kName, g, count, row, most));
    }
    all.push_back({shared(op.x, groups) ? row : 0, shared(op.y, groups) ? row : 0, count});
    row += count;
  }
  return all;
}

Status check_counts(const GroupedMatmul& op, const Rows& rows, int64_t g) {
  for (const auto& [name, list] : {std::pair{"x", &op.x}, {"y", &op.y}}) {
    if (shared(*list, groups_of(op))) continue;
    const TensorView& tensor = (*list)[list->size() == 1 ? 0 : static_cast<size_t>(g)];
    if (tensor.row_count() == rows.count) continue;
    return fail(ErrorCode::invalid_argument, fmt::format("{}: {} {} has {} rows, {} wanted (group {})", kName, name,
                                                         tensor.describe(), tensor.row_count(), rows.count, g));
  }
  return {};
}

Status run_group(const GroupedMatmul& op, int64_t g, const Rows& rows, Work& work) {
  const int64_t groups = groups_of(op);
  const TensorView weight = weight_of(op, g);
  const TensorView &x = op.x[op.x.size() == 1 ? 0 : static_cast<size_t>(g)],
                   &y = op.y[op.y.size() == 1 ? 0 : static_cast<size_t>(g)];
  const Scratch::Mark mark(*work.lane.scratch);
  Product product;
  product.m = rows.count;
  product.k = weight.dim(0);
  product.n = weight.dim(1);
  product.x = row_of(x, rows.x_first, product.k);
  product.x_dtype = x.dtype;
  product.x_row_bytes = row_bytes(x.dtype, product.k);
  product.w = weight_at(weight, 0);
  const TensorView scale = part_of(op.scale, g, groups);
  product.scale = scale_at(scale, product.n);
  product.offset = scale_at(part_of(op.offset, g, groups), product.n);
  if (scale.rank == 2 && scale.dim(0) > 1) product.group = (product.k + scale.dim(0) - 1) / scale.dim(0);
  const auto dequant = dequant_column(part_of(op.dequant, g, groups), kName, work);
  if (!dequant) return fail(dequant.error());
  product.dequant = *dequant;
  if (!op.token.empty()) {
    const bool together = op.token.size() == 1;
    product.token = op.token[together ? 0 : static_cast<size_t>(g)].as<const float>() + (together ? rows.x_first : 0);
  }
  product.bias = part_of(op.bias, g, groups);
  product.y = row_of(y, rows.y_first, product.n);
  product.y_dtype = y.dtype;
  if (auto status = run_product(product, kName, work); !status) return status;
  if (op.activation == Unary::copy) return {};
  work.kernels.elementwise.unary({product.m * product.n, product.y, product.y, y.dtype, op.activation}, work.lane);
  return {};
}

Status run_grouped(const GroupedMatmul& op, Work& work) {
  const auto rows = rows_of_groups(op);
  if (!rows) return fail(rows.error());
  for (int64_t g = 0; g < groups_of(op); ++g) {
    const Rows& own = (*rows)[static_cast<size_t>(g)];
    if (auto status = check_counts(op, own, g); !status) return status;
    if (auto status = run_group(op, g, own, work); !status) return status;
  }
  return {};
}

}  // namespace

template <>
const OperatorTable<GroupedMatmul>& table_of<GroupedMatmul>() {
  static constexpr OperatorTable<GroupedMatmul> kTable{
      kName, "y_g = act(x_g @ w_g + bias_g)", kFields, kNumbers, check_grouped, run_grouped};
  return kTable;
}

Expected<Plan> plan(const GroupedMatmul& op, Device&) { return plan_single(op); }

}  // namespace tandem
