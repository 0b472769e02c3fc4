// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/gemm_block.h"
#include "tandem/kernels/cpu/kernels.h"

namespace tandem::TANDEM_ISA {
namespace {

// One register tile: kRows rows by one strip of columns over `count` rows of k.
struct Tile {
  const float* const* x = nullptr;
  int64_t first = 0, count = 0;
  const float* strip = nullptr;
  float* sum = nullptr;          // [rows][kBlockN]
  bool begin = false;            // sums start at +0
  const float* scale = nullptr;  // given at the end of a run: leaf = fma(sum, scale, leaf) in place of storing sums
  float* leaf = nullptr;
};

template <int kRows>
void run_tile(const Tile& tile) {
  Vec sum[kRows][kTileVecs];
  const float* x[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    x[r] = tile.x[r] + tile.first;
#pragma GCC unroll 16
    for (int v = 0; v < kTileVecs; ++v) {
      sum[r][v] = tile.begin ? set(0.0f) : load(tile.sum + r * kBlockN + v * kLanes);
    }
  }
  for (int64_t kk = 0; kk < tile.count; ++kk) {
    Vec w[kTileVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kTileVecs; ++v) {
      w[v] = load(tile.strip + kk * kStrip + v * kLanes);
      keep_in_register(w[v]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec a = set(x[r][kk]);
#pragma GCC unroll 16
      for (int v = 0; v < kTileVecs; ++v) sum[r][v] = fma(a, w[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kTileVecs; ++v) {
      const int64_t place = r * kBlockN + v * kLanes;
      if (tile.scale == nullptr) {
        store(tile.sum + place, sum[r][v]);
      } else {
        store(tile.leaf + place, fma(sum[r][v], load(tile.scale + v * kLanes), load(tile.leaf + place)));
      }
    }
  }
}

void run_tile(const Tile& tile, int64_t rows) {
  switch (rows) {
    case 1: return run_tile<1>(tile);
    case 2: return run_tile<2>(tile);
#if !defined(TANDEM_ISA_IS_portable)
    case 3: return run_tile<3>(tile);
    case 4: return run_tile<4>(tile);
    case 5: return run_tile<5>(tile);
#endif
    default: return run_tile<kTileRows>(tile);
  }
}

// Scratch of one part.
struct Memory {
  float* panel;
  float* scale;
  float* offset;
  float* sums;
  float* leaves;

  static int64_t floats(int64_t leaf_count, int64_t rows, int64_t width) {
    return kStrips * kStripSize + 2 * width + (leaf_count + 1) * rows * width;
  }
  Memory(float* memory, int64_t rows, int64_t width)
      : panel(memory),
        scale(panel + kStrips * kStripSize),
        offset(scale + width),
        sums(offset + width),
        leaves(sums + rows * width) {}
};

// Scale and offset rows of the group that runs now.
void load_group(const GemmArgs& args, int64_t group, int64_t column, int64_t columns, const Memory& memory) {
  for (int64_t c = 0; c < kBlockN; ++c) memory.scale[c] = memory.offset[c] = 0;
  read_scales(args.scale, group, column, columns, memory.scale);
  if (args.offset.data != nullptr) read_scales(args.offset, group, column, columns, memory.offset);
}

// All tiles of one decoded piece of k.
void run_tiles(const Tile& first, int64_t rows, int64_t columns, const float* panel) {
  for (int64_t c = 0; c < columns; c += kStrip) {
    for (int64_t r = 0; r < rows; r += kTileRows) {
      Tile tile = first;
      tile.x += r;
      tile.strip = panel + c / kStrip * kStripSize;
      tile.sum += r * kBlockN + c;
      tile.leaf += r * kBlockN + c;
      if (tile.scale != nullptr) tile.scale += c;
      run_tile(tile, min64(kTileRows, rows - r));
    }
  }
}

// Decodes and multiplies one block of columns for `rows.m` rows.
void panel_block(const GemmArgs& args, const Rows& rows, int64_t column, int64_t columns, const Memory& memory) {
  const bool scaled = args.scale.data != nullptr;
  const Leaves leaves{memory.leaves, rows.m, kBlockN};
  leaves.clear(args.leaves);
  int64_t loaded = -1;
  for_runs(args, scaled ? args.group : 0, [&](int64_t leaf, int64_t first, int64_t last, int64_t group) {
    if (scaled && loaded != group) load_group(args, group, column, columns, memory);
    loaded = group;
    for (int64_t kk = first; kk < last; kk += kBlockK) {
      const int64_t count = min64(kBlockK, last - kk);
      const PanelArgs panel{args.w,  args.k, column, columns,
                            kk, count,  scaled && args.offset.data != nullptr ? memory.offset : nullptr};
      with_weight(args.w.dtype, [&]<class W>(W) { decode_panel<W>(panel, memory.panel); });
      Tile tile{reinterpret_cast<const float* const*>(rows.x), kk, count};
      tile.leaf = leaves.at(leaf, 0);
      tile.sum = scaled ? memory.sums : tile.leaf;
      tile.begin = kk == first;
      tile.scale = scaled && kk + count == last ? memory.scale : nullptr;
      run_tiles(tile, rows.m, columns, memory.panel);
    }
  });
  finish_block(args, leaves, rows.y, column, columns);
}

void run_panels(const GemmArgs& args, const Rows& rows, Lane& lane) {
  const Split split(args.n, rows.m, lane.team->size());
  Parts<float> parts(lane, Memory::floats(args.leaves, split.rows_each, kBlockN));
  lane.team->parallel_for(split.tasks(), grain_of(rows.m * args.n * args.k / split.tasks()), [&](int64_t begin, int64_t end) {
    const Memory memory(parts.claim(), split.rows_each, kBlockN);
    for_tasks(split, begin, end, rows.m, args.n, [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
      panel_block(args, Rows{count, rows.x + row, rows.y + row}, column, columns, memory);
    });
  });
}

// Row pointers of rows [first, first + m); 16-bit activations are converted once.
Rows read_rows(const GemmArgs& args, int64_t first, int64_t m, Lane& lane) {
  const Rows rows{m, take<const void*>(*lane.scratch, m), take<void*>(*lane.scratch, m)};
  const int64_t width = args.k + 16;
  float* converted = args.x_dtype == DType::f32 ? nullptr : take<float>(*lane.scratch, m * width);
  lane.team->parallel_for(m, grain_of(args.k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      rows.x[r] = x_row(args, first + r);
      rows.y[r] = y_row(args, first + r);
      if (converted == nullptr) continue;
      float* to = converted + r * width;
      with_float(args.x_dtype, [&]<class T>(T) { read_row<T>(rows.x[r], 0, args.k, to); });
      rows.x[r] = to;
    }
  });
  return rows;
}

}  // namespace

void gemm(const GemmArgs& args, Lane& lane) {
  if (args.n == 0) return;
  if (gemm_integer(args, lane)) return;
  if (gemm_few(args, lane)) return;
  const int64_t chunk = row_chunk(args.k);
  for (int64_t first = 0; first < args.m; first += chunk) {
    const Scratch::Mark mark(*lane.scratch);
    const Rows rows = read_rows(args, first, min64(chunk, args.m - first), lane);
    run_panels(args, rows, lane);
  }
}

}  // namespace tandem::TANDEM_ISA
