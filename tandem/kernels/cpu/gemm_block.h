// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/panel.h"
#include "tandem/kernels/cpu/parts.h"

// What the float and the integer product share: rows, leaves, runs of k, and the end of a block.
namespace tandem::TANDEM_ISA {

// Rows one pass over the weights serves: as many as keep the converted activations below 16 MiB.
TANDEM_INLINE int64_t row_chunk(int64_t k) {
  constexpr int64_t kMostRows = 192;
  constexpr int64_t kBytes = int64_t{16} << 20;
  const int64_t tiles = kBytes / (4 * (k + 16)) / kTileRows;
  return max64(1, min64(kMostRows / kTileRows, tiles)) * kTileRows;
}

// Rows [0, m) of one pass.
struct Rows {
  int64_t m = 0;
  const void** x = nullptr;  // f32 rows of k, or i16 rows of k and one zero
  void** y = nullptr;
};

TANDEM_INLINE const void* x_row(const GemmArgs& args, int64_t row) {
  return args.x_rows != nullptr ? args.x_rows[row] : at(args.x, row * args.x_row_bytes);
}
TANDEM_INLINE void* y_row(const GemmArgs& args, int64_t row) {
  return args.y_rows != nullptr ? args.y_rows[row] : at(args.y, row * args.y_row_bytes);
}

// Calls body(leaf, first, last, group) for every run of k: a leaf cut at group borders.
template <class Body>
TANDEM_INLINE void for_runs(const GemmArgs& args, int64_t group, const Body& body) {
  for (int64_t leaf = 0; leaf < args.leaves; ++leaf) {
    const int64_t last = (leaf + 1) * args.k / args.leaves;
    int64_t first = leaf * args.k / args.leaves;
    while (first < last) {
      const int64_t index = group > 0 ? first / group : 0;
      const int64_t end = group > 0 ? min64(last, (index + 1) * group) : last;
      body(leaf, first, end, index);
      first = end;
    }
  }
}

// Row `group` of a scale or offset for columns [column, column + count) as f32.
TANDEM_INLINE void read_scales(const ScaleView& view, int64_t group, int64_t column, int64_t count, float* to) {
  const int64_t first = group * view.stride_group + column * view.stride_n;
  with_float(view.dtype, [&]<class T>(T) {
    if (view.stride_n == 1) return read_row<T>(view.data, first, count, to);
    for (int64_t c = 0; c < count; ++c) to[c] = T::one(view.data, first + c * view.stride_n);
  });
}

// Leaf values of a block: leaf j of row r at (j * rows + r) * width.
struct Leaves {
  float* data = nullptr;
  int64_t rows = 0, width = 0;

  float* at(int64_t leaf, int64_t row) const { return data + (leaf * rows + row) * width; }
  void clear(int64_t leaves) const {
    for (int64_t i = 0; i < leaves * rows * width; i += kLanes) store(data + i, set(0.0f));
  }
};

// Adds the leaves of every row and stores columns [column, column + columns), or stores the leaves themselves.
inline void finish_block(const GemmArgs& args, const Leaves& leaves, void* const* y, int64_t column, int64_t columns) {
  for (int64_t row = 0; row < leaves.rows; ++row) {
    if (args.split_leaves) {
      for (int j = 0; j < args.leaves; ++j) write_row<F32>(leaves.at(j, row), columns, y[row], j * args.n + column);
      continue;
    }
    float* first = leaves.at(0, row);
    for (int64_t c = 0; c < columns; c += kLanes) {
      TreeSum tree;
      for (int j = 0; j < args.leaves; ++j) tree.push(load(leaves.at(j, row) + c));
      store(first + c, tree.finish());
    }
    with_float(args.y_dtype, [&]<class T>(T) { write_row<T>(first, columns, y[row], column); });
  }
}

// How a pass is cut into tasks: blocks of columns, and rows too where there are fewer blocks than threads.
struct Split {
  int64_t blocks = 0, row_parts = 1, rows_each = 0;

  Split(int64_t n, int64_t m, int64_t threads) : blocks((n + kBlockN - 1) / kBlockN) {
    const int64_t most = (m + kTileRows - 1) / kTileRows;
    if (blocks < threads) row_parts = min64(most, (threads + blocks - 1) / blocks);
    rows_each = (most + row_parts - 1) / row_parts * kTileRows;
  }
  int64_t tasks() const { return blocks * row_parts; }
};

// Calls run(first_row, row_count, column, columns) for the tasks [begin, end).
template <class Run>
TANDEM_INLINE void for_tasks(const Split& split, int64_t begin, int64_t end, int64_t m, int64_t n, const Run& run) {
  for (int64_t task = begin; task < end; ++task) {
    const int64_t row = task % split.row_parts * split.rows_each;
    const int64_t column = task / split.row_parts * kBlockN;
    if (row < m) run(row, min64(split.rows_each, m - row), column, min64(kBlockN, n - column));
  }
}

}  // namespace tandem::TANDEM_ISA
