// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/gemm_block.h"
#include "tandem/kernels/cpu/kernels.h"

// int8 x int8: pairs of k as 16-bit halves of a lane, exact int32 sums. A leaf's pairs start at the leaf's own border.
namespace tandem::TANDEM_ISA {
namespace {

constexpr int kRowsMost = kTileRows < 4 ? kTileRows : 4;  // a product needs registers of its own before the addition
constexpr int64_t kPairs = kBlockK / 2;
constexpr int64_t kPairStrip = kPairs * kStrip;

TANDEM_INLINE int32_t* pair_strip(int32_t* panel, int64_t c) { return panel + c / kStrip * kPairStrip + c % kStrip; }

// Any layout, one pair at a time; the odd last row gets a zero partner.
void pack_pairs_any(const PanelArgs& args, int32_t* panel) {
  const int8_t* data = static_cast<const int8_t*>(args.w.data);
  for (int64_t c = 0; c < kBlockN; ++c) {
    int32_t* to = pair_strip(panel, c);
    for (int64_t kk = 0; kk < args.rows; kk += 2) {
      uint32_t pair = 0;
      if (c < args.columns) {
        const int8_t low = data[weight_index(args.w, args.k, args.row + kk, args.column + c)];
        const bool odd_end = kk + 1 == args.rows;
        const int8_t high = odd_end ? int8_t{0} : data[weight_index(args.w, args.k, args.row + kk + 1, args.column + c)];
        pair = static_cast<uint16_t>(low) | static_cast<uint32_t>(static_cast<uint16_t>(high)) << 16;
      }
      to[kk / 2 * kStrip] = static_cast<int32_t>(pair);
    }
  }
}

// Whole vectors of columns side by side in memory.
void pack_pairs(const PanelArgs& args, int32_t* panel) {
  const int8_t* data = static_cast<const int8_t*>(args.w.data);
  const int64_t step = args.w.panel != 0 ? args.w.panel : args.w.stride_k;
  for (int64_t c = 0; c < kBlockN; c += kLanes) {
    const int64_t from = c < args.columns ? weight_index(args.w, args.k, args.row, args.column + c) : 0;
    int32_t* to = pair_strip(panel, c);
    for (int64_t kk = 0; kk < args.rows; kk += 2) {
      VecI low = set_i(0), high = set_i(0);
      if (c < args.columns) low = load_i8(data + from + kk * step);
      if (c < args.columns && kk + 1 < args.rows) high = load_i8(data + from + (kk + 1) * step);
      store_i(to + kk / 2 * kStrip, pair16(low, high));
    }
  }
}

void decode_pairs(const PanelArgs& args, int32_t* panel) {
  const bool whole = args.w.stride_n == 1 && args.columns == kBlockN;
  if (args.w.panel == kPanel || (args.w.panel == 0 && whole)) return pack_pairs(args, panel);
  pack_pairs_any(args, panel);
}

struct Tile {
  const int16_t* const* x = nullptr;
  int64_t first = 0, pairs = 0;
  const int32_t* strip = nullptr;
  int32_t* sum = nullptr;  // [rows][kBlockN]
  bool begin = false;
};

template <int kRows>
void run_tile(const Tile& tile) {
  VecI sum[kRows][kTileVecs];
  const int16_t* x[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    x[r] = tile.x[r] + tile.first;
#pragma GCC unroll 16
    for (int v = 0; v < kTileVecs; ++v) {
      sum[r][v] = tile.begin ? set_i(0) : load_i(tile.sum + r * kBlockN + v * kLanes);
    }
  }
  for (int64_t pair = 0; pair < tile.pairs; ++pair) {
    VecI w[kTileVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kTileVecs; ++v) w[v] = load_i(tile.strip + pair * kStrip + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      int32_t both;
      __builtin_memcpy(&both, x[r] + 2 * pair, sizeof both);
      const VecI a = set_i(both);
#pragma GCC unroll 16
      for (int v = 0; v < kTileVecs; ++v) sum[r][v] = dot2(sum[r][v], a, w[v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kTileVecs; ++v) store_i(tile.sum + r * kBlockN + v * kLanes, sum[r][v]);
  }
}

void run_tile(const Tile& tile, int64_t rows) {
  switch (rows) {
    case 1: return run_tile<1>(tile);
    case 2: return run_tile<2>(tile);
#if !defined(TANDEM_ISA_IS_portable)
    case 3: return run_tile<3>(tile);
#endif
    default: return run_tile<kRowsMost>(tile);
  }
}

struct Memory {
  int32_t* panel;
  int32_t* sums;
  float* dequant;
  float* leaves;

  static int64_t words(int64_t leaf_count, int64_t rows) {
    return kStrips * kPairStrip + kBlockN + (leaf_count + 1) * rows * kBlockN;
  }
  Memory(float* memory, int64_t rows)
      : panel(reinterpret_cast<int32_t*>(memory)),
        sums(panel + kStrips * kPairStrip),
        dequant(memory + kStrips * kPairStrip + rows * kBlockN),
        leaves(dequant + kBlockN) {}
};

void run_tiles(const Tile& first, int64_t rows, int64_t columns, const int32_t* panel) {
  for (int64_t c = 0; c < columns; c += kStrip) {
    for (int64_t r = 0; r < rows; r += kRowsMost) {
      Tile tile = first;
      tile.x += r;
      tile.strip = panel + c / kStrip * kPairStrip;
      tile.sum += r * kBlockN + c;
      run_tile(tile, min64(kRowsMost, rows - r));
    }
  }
}

// leaf = fl32(fl32(sum) * dequant), then * token.
void scale_leaf(const Memory& memory, const float* token, int64_t row, float* leaf) {
  for (int64_t c = 0; c < kBlockN; c += kLanes) {
    Vec v = mul(to_f32(load_i(memory.sums + row * kBlockN + c)), load(memory.dequant + c));
    if (token != nullptr) v = mul(v, set(token[row]));
    store(leaf + c, v);
  }
}

void int8_block(const GemmArgs& args, const Rows& rows, const float* token, int64_t column, int64_t columns,
                const Memory& memory) {
  const Leaves leaves{memory.leaves, rows.m, kBlockN};
  leaves.clear(args.leaves);
  for (int64_t c = 0; c < kBlockN; ++c) memory.dequant[c] = 0;
  read_scales(args.dequant, 0, column, columns, memory.dequant);
  for_runs(args, 0, [&](int64_t leaf, int64_t first, int64_t last, int64_t) {
    for (int64_t kk = first; kk < last; kk += kBlockK) {
      const int64_t count = min64(kBlockK, last - kk);
      decode_pairs(PanelArgs{args.w, args.k, column, columns, kk, count, nullptr}, memory.panel);
      Tile tile{reinterpret_cast<const int16_t* const*>(rows.x), kk, (count + 1) / 2};
      tile.sum = memory.sums;
      tile.begin = kk == first;
      run_tiles(tile, rows.m, columns, memory.panel);
    }
    for (int64_t r = 0; r < rows.m; ++r) scale_leaf(memory, token, r, leaves.at(leaf, r));
  });
  finish_block(args, leaves, rows.y, column, columns);
}

// Rows widened to 16 bits, one zero behind each.
Rows read_rows(const GemmArgs& args, int64_t first, int64_t m, Lane& lane) {
  const Rows rows{m, take<const void*>(*lane.scratch, m), take<void*>(*lane.scratch, m)};
  const int64_t width = args.k + 16;
  int16_t* wide = take<int16_t>(*lane.scratch, m * width);
  lane.team->parallel_for(m, grain_of(args.k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int8_t* from = static_cast<const int8_t*>(x_row(args, first + r));
      int16_t* to = wide + r * width;
      for (int64_t kk = 0; kk < args.k; ++kk) to[kk] = from[kk];
      for (int64_t kk = args.k; kk < width; ++kk) to[kk] = 0;
      rows.x[r] = to;
      rows.y[r] = y_row(args, first + r);
    }
  });
  return rows;
}

}  // namespace

void gemm_int8(const GemmArgs& args, Lane& lane) {
  const int64_t chunk = row_chunk(args.k);
  for (int64_t first = 0; first < args.m; first += chunk) {
    const Scratch::Mark mark(*lane.scratch);
    const Rows rows = read_rows(args, first, min64(chunk, args.m - first), lane);
    const Split split(args.n, rows.m, lane.team->size());
    Parts<float> parts(lane, Memory::words(args.leaves, split.rows_each));
    const float* token = args.token == nullptr ? nullptr : args.token + first;
    lane.team->parallel_for(split.tasks(), grain_of(rows.m * args.n * args.k / split.tasks()), [&](int64_t begin, int64_t end) {
      const Memory memory(parts.claim(), split.rows_each);
      for_tasks(split, begin, end, rows.m, args.n, [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
        const float* tokens = token == nullptr ? nullptr : token + row;
        int8_block(args, Rows{count, rows.x + row, rows.y + row}, tokens, column, columns, memory);
      });
    });
  }
}

}  // namespace tandem::TANDEM_ISA
