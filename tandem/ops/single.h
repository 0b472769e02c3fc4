// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tandem/exec/memory.h"
#include "tandem/kernels/table.h"
#include "tandem/ops/fields.h"
#include "tandem/ops/plan.h"

// The plan of every operator that needs one device only. Internal to ops.
namespace tandem {

inline constexpr size_t kLeastWorkspace = 512;

// Dense stand-ins for strided operands, taken from the lane's scratch for one execution.
class Staging {
 public:
  explicit Staging(Lane& lane) : lane_(lane) {}
  // Replaces a strided `view` by a dense copy; false when memory was refused.
  bool stage(const Operand& row, TensorView& view);
  // Copies results to where their callers want them.
  void give_back();

 private:
  Lane& lane_;
  std::vector<std::pair<TensorView, TensorView>> results_;  // dense, strided
};

// `view` with the shape of `to`, of at least its rank: repeated dimensions have stride 0.
bool broadcasts(const TensorView& view, const TensorView& to);
TensorView spread(const TensorView& view, const TensorView& to);
// The view if it is dense, else a dense copy in the lane's scratch; data is null when memory was refused.
TensorView dense_copy(const TensorView& view, Lane& lane);
// to[i] = from[i] for every index; shapes and dtypes agree, i4 only where both are dense.
void copy_elements(const TensorView& from, const TensorView& to, Lane& lane);

// Bytes of rows of n elements.
inline int64_t row_bytes(DType dtype, int64_t n) { return static_cast<int64_t>(dtype_bytes(dtype, n)); }
inline void* row_of(const TensorView& tensor, int64_t row, int64_t n) {
  return tensor.present() ? static_cast<char*>(tensor.data) + row * row_bytes(tensor.dtype, n) : nullptr;
}

inline tl::unexpected<Error> no_scratch(std::string_view name, std::string_view what) {
  return fail(ErrorCode::out_of_memory, fmt::format("{}: scratch for {} was refused", name, what));
}

// A row operand, or one value for all columns; int32 becomes f32 in scratch.
Expected<PerColumn> per_column(const TensorView& tensor, std::string_view name, Work& work);

// A dense matrix of the lane's scratch; data is null when memory was refused.
inline TensorView scratch_matrix(Lane& lane, DType dtype, int64_t rows, int64_t n) {
  return make_tensor(lane.scratch->take(dtype_bytes(dtype, rows * n)), dtype, {rows, n});
}

template <class Op>
struct SingleBody final : Plan::Body {
  SingleBody(const OperatorTable<Op>& its_table, const Op& its_op) : table(its_table), op(its_op) {}

  size_t workspace_bytes() const override { return empty() ? 0 : kLeastWorkspace; }
  std::string_view name() const override { return table.name; }

  std::string describe() const override {
    std::string text = fmt::format("table={}", kernels.name);
    for (const Field<Op>& field : table.fields) {
      field.each(op, [&](const TensorView& tensor) {
        if (tensor.present()) text += fmt::format(" {}={}", field.row.name, tensor.describe());
      });
    }
    return text;
  }

  // Nothing is to be written.
  bool empty() const {
    int64_t results = 0;
    for (const Field<Op>& field : table.fields) {
      if (is_output(field.row.role)) field.each(op, [&](const TensorView& tensor) { results += tensor.elements(); });
    }
    return results == 0;
  }

  Status execute(std::span<std::byte>, Lane& lane) const override {
    if (empty()) return {};
    const Scratch::Mark mark(*lane.scratch);
    Staging staging(lane);
    Op dense = op;
    bool staged = true;
    for (const Field<Op>& field : table.fields) {
      field.each(dense, [&](TensorView& tensor) { staged = staged && staging.stage(field.row, tensor); });
    }
    if (!staged) return no_scratch(table.name, "strided operands");
    Work work{kernels, lane};
    if (auto status = table.run(dense, work); !status) return status;
    staging.give_back();
    return {};
  }

  const OperatorTable<Op>& table;
  const KernelTable& kernels = default_table();
  Op op;
};

template <class Op>
Expected<Plan> plan_single(const Op& op) {
  const OperatorTable<Op>& table = table_of<Op>();
  if (auto status = check_table(table, op); !status) return fail(status.error());
  return Plan(std::make_shared<SingleBody<Op>>(table, op));
}

}  // namespace tandem
