// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/batch.h"

#include <algorithm>
#include <utility>

#include "tandem/kernels/pack.h"

namespace tandem {
namespace {

// `view` with a dimension of size 1 inserted before `axis`.
TensorView inserted(const TensorView& view, int axis) {
  TensorView wide = view;
  ++wide.rank;
  for (int i = view.rank; i > axis; --i) {
    wide.shape[static_cast<size_t>(i)] = wide.shape[static_cast<size_t>(i - 1)];
    wide.stride[static_cast<size_t>(i)] = wide.stride[static_cast<size_t>(i - 1)];
  }
  wide.shape[static_cast<size_t>(axis)] = 1;
  wide.stride[static_cast<size_t>(axis)] = 1;
  return wide;
}

// Batch dimension `i`, counted from the last one; 1 where there is none.
int64_t batch_dim(const TensorView& view, int i) { return i + 2 < view.rank ? view.dim(-3 - i) : 1; }

bool room_for_vectors(const TensorView& a, const TensorView& b, const TensorView& y) {
  return (a.rank > 1 && b.rank > 1) || y.rank < TensorView::kMaxRank;
}

bool gives(const Batch& batch) {
  if (batch.y.rank < 2 || batch.y.dim(-1) != batch.n || batch.y.dim(-2) != batch.m) return false;
  if (batch.y.rank != std::max(batch.a.rank, batch.b.rank)) return false;
  for (int i = 0; i + 2 < batch.y.rank; ++i) {
    const int64_t left = batch_dim(batch.a, i), right = batch_dim(batch.b, i), both = left == 1 ? right : left;
    if (batch.y.dim(-3 - i) != both || (right != 1 && right != both)) return false;
  }
  return true;
}

}  // namespace

Batch batch_of(const TensorView& a, const TensorView& b, const TensorView& y, int64_t panel) {
  Batch batch{a, b, y};
  batch.panel = panel;
  if (b.rank == 1) {
    batch.b = inserted(b, 1);
    batch.y = inserted(batch.y, batch.y.rank);
  }
  if (a.rank == 1) {
    batch.a = inserted(a, 0);
    batch.y = inserted(batch.y, batch.y.rank == 0 ? 0 : batch.y.rank - 1);
  }
  batch.m = batch.a.dim(-2);
  batch.k = batch.a.dim(-1);
  batch.n = batch.b.dim(-1);
  for (int i = 0; i + 2 < batch.y.rank; ++i) batch.count *= batch.y.dim(i);
  return batch;
}

void check_batch(Check& check, std::string_view a_name, const TensorView& a, std::string_view b_name,
                 const TensorView& b, const TensorView& y) {
  check.rank(a_name, a, 1, TensorView::kMaxRank).rank(b_name, b, 1, TensorView::kMaxRank);
  check.that(check.failed() || room_for_vectors(a, b, y), "y {} has too many dimensions for a vector operand",
             y.describe());
  if (check.failed()) return;
  const Batch batch = batch_of(a, b, y);
  check.that(batch.b.dim(-2) == batch.k, "{} {} has k = {}, {} wanted (the last dimension of {} {})", b_name,
             b.describe(), batch.b.dim(-2), batch.k, a_name, a.describe());
  check.that(gives(batch), "y is {}, the shape of {} {} @ {} {} wanted", y.describe(), a_name, a.describe(), b_name,
             b.describe());
  check_weight_pairs(check, b_name, batch.b);
}

int64_t Batch::offset(const TensorView& view, int64_t index) const {
  if (view.elements() == 0) return 0;
  int64_t offset = 0;
  for (int i = 0; i + 2 < y.rank; ++i) {
    const int64_t place = index % y.dim(-3 - i);
    index /= y.dim(-3 - i);
    if (batch_dim(view, i) > 1) offset += place * view.step(-3 - i);
  }
  return offset;
}

void check_panel(Check& check, std::string_view name, const TensorView& b, int64_t panel) {
  if (panel == 0 || check.failed()) return;
  check.that(panel == kPanel, "panels of {} have {} columns, {} wanted", name, panel, kPanel);
  check.rank(name, b, 2, TensorView::kMaxRank);
  check.that(check.failed() || b.contiguous() || b.transposed().contiguous(),
             "{} {} has gaps, packed matrices or their transposition wanted", name, b.describe());
}

Weight Batch::weight(int64_t index) const {
  if (panel == 0) return weight_at(b, offset(b, index));
  const int64_t matrix = offset(b, index) / std::max<int64_t>(1, k * n);
  return {b.as<const char>() + static_cast<size_t>(matrix) * packed_bytes(b.dtype, k, n), b.dtype, 0, 0, panel};
}

namespace {

// Columns that were packed as rows are unpacked; the kernels read panels of rows only.
bool unpack_turned(Batch& batch, Lane& lane) {
  const TensorView turned = batch.b.transposed();
  const int64_t k = turned.dim(-2), n = turned.dim(-1), count = turned.elements() / std::max<int64_t>(1, k * n);
  auto* plain = static_cast<char*>(lane.scratch->take(turned.bytes()));
  if (plain == nullptr) return false;
  for (int64_t index = 0; index < count; ++index) {
    const auto at = static_cast<size_t>(index);
    const Weight packed{batch.b.as<const char>() + at * packed_bytes(batch.b.dtype, k, n), batch.b.dtype, 0, 0, kPanel};
    unpack_weight(packed, k, n, plain + at * dtype_bytes(batch.b.dtype, k * n));
  }
  batch.b.data = plain;
  batch.panel = 0;
  return true;
}

}  // namespace

bool settle(Batch& batch, bool fold, Lane& lane) {
  if (batch.panel != 0 && packed_as_columns(batch.b) && !unpack_turned(batch, lane)) return false;
  const bool rows_dense = (batch.k <= 1 || batch.a.step(-1) == 1) && (batch.m <= 1 || batch.a.step(-2) == batch.k);
  if (!rows_dense) batch.a = dense_copy(batch.a, lane);
  if (batch.panel == 0 && !plain_matrix(batch.b)) batch.b = dense_copy(batch.b, lane);
  if (fold && batch.b.rank == 2 && batch.a.contiguous() && batch.a.rank == batch.y.rank) {
    batch.m *= batch.count;
    batch.count = 1;
    batch.a = make_tensor(batch.a.data, batch.a.dtype, {batch.m, batch.k});
    batch.y = make_tensor(batch.y.data, batch.y.dtype, {batch.m, batch.n});
  }
  const auto readable = [](const TensorView& view) { return view.data != nullptr || view.elements() == 0; };
  return readable(batch.a) && readable(batch.b);
}

}  // namespace tandem
