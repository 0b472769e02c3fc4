// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/integer_tile.h"
#include "tandem/kernels/cpu/kernels.h"

// Products whose sums are exact integers: int8 activations, and the fast form of float ones.
namespace tandem::TANDEM_ISA {
namespace {

enum class Fold : uint8_t { dequant, scale, fast, none };

Fold fold_of(const GemmArgs& args) {
  if (args.x_dtype != DType::i8) return Fold::fast;
  if (args.scale.data != nullptr) return Fold::scale;
  return args.dequant.data != nullptr ? Fold::dequant : Fold::none;
}

// What one pass over the weights works on.
struct Product {
  const GemmArgs& args;
  const IntRows& rows;
  const float* token;  // of row 0 of the pass
  Fold fold;
};

// Scratch of one part.
struct Memory {
  int32_t* panel;
  uint8_t* stage;
  float* scale;
  float* offset;
  int32_t* sums;
  float* leaves;

  static constexpr int64_t kStage = kIntPanel;  // words; rows of a panel as bytes
  static int64_t words(int64_t leaf_count, int64_t rows) {
    return kIntPanel + kStage + 2 * kIntN + (leaf_count + 1) * rows * kIntN;
  }
  Memory(int32_t* memory, int64_t rows)
      : panel(memory),
        stage(reinterpret_cast<uint8_t*>(panel + kIntPanel)),
        scale(reinterpret_cast<float*>(panel + kIntPanel + kStage)),
        offset(scale + kIntN),
        sums(reinterpret_cast<int32_t*>(offset + kIntN)),
        leaves(reinterpret_cast<float*>(sums + rows * kIntN)) {}
};

// Rows [first, first + count) of a pass by columns [column, column + columns).
struct Block {
  int64_t first_tile, last_tile, first, count, column, columns;
};

void load_scales(const Product& p, const Block& block, int64_t group, const Memory& memory) {
  const ScaleView& scale = p.fold == Fold::dequant ? p.args.dequant : p.args.scale;
  for (int64_t c = block.columns; c < kIntN; ++c) memory.scale[c] = memory.offset[c] = 0;
  if (p.fold != Fold::none) read_scales(scale, group, block.column, block.columns, memory.scale);
  if (p.fold == Fold::fast && p.args.offset.data != nullptr) {
    read_scales(p.args.offset, group, block.column, block.columns, memory.offset);
  }
}

// The end of a run for one row: its sums into the leaf.
template <Fold kFold, bool kOffset>
TANDEM_INLINE void fold_row(const Product& p, const Memory& memory, int64_t run, int64_t row, const int32_t* sums, float* leaf) {
  const bool token = p.token != nullptr && p.rows.run[run].leaf_ends;
  const Vec factor = set(token ? p.token[row] : 1.0f);
  const Vec x_sum = set(kOffset ? p.rows.sum[run * p.rows.m + row] : 0.0f);
  const Vec unit = set(kFold == Fold::fast ? p.rows.unit[run * p.rows.m + row] : 1.0f);
#pragma GCC unroll 4
  for (int64_t c = 0; c < kIntN; c += kLanes) {
    Vec v = to_f32(load_i(sums + c));
    if constexpr (kOffset) v = fma(load(memory.offset + c), x_sum, v);
    if constexpr (kFold == Fold::fast) v = mul(v, unit);
    if constexpr (kFold == Fold::dequant) {
      v = mul(v, load(memory.scale + c));
    } else {
      v = fma(v, load(memory.scale + c), load(leaf + c));
    }
    if (kFold != Fold::fast && token) v = mul(v, factor);
    store(leaf + c, v);
  }
}

template <class Body>
TANDEM_INLINE void with_fold(const Product& p, const Body& body) {
  if (p.fold == Fold::none) return;
  if (p.fold == Fold::dequant) return body.template operator()<Fold::dequant, false>();
  if (p.fold == Fold::scale) return body.template operator()<Fold::scale, false>();
  if (p.args.offset.data == nullptr) return body.template operator()<Fold::fast, false>();
  body.template operator()<Fold::fast, true>();
}

// A piece of a run that is in the panel now: `steps` of them, `done` before it.
struct Piece {
  int64_t run = 0, done = 0, steps = 0;
  bool ends = false;
};

// The weights behind the piece are asked for while its first rows are multiplied, so many bytes a step.
template <class Dot>
TANDEM_INLINE void ask_ahead(const Product& p, const Block& block, const Piece& piece, IntTile& tile, int64_t strip) {
  const int64_t bits = p.args.w.dtype == DType::i4 ? 4 : 8, row = p.rows.run[piece.run].first + (piece.done + piece.steps) * Dot::kWidth;
  const int64_t from = weight_index(p.args.w, p.args.k, row, block.column / kPanel * kPanel) * bits / 8;
  tile.ahead_step = Dot::kWidth * kIntN * bits / 8 / (kIntN / kIntStrip);
  tile.ahead = static_cast<const uint8_t*>(p.args.w.data) + from + strip * piece.steps * tile.ahead_step;
}

template <class Dot>
void run_tiles(const Product& p, const Block& block, const Memory& memory, const Leaves& leaves, const Piece& piece) {
  const IntRun& run = p.rows.run[piece.run];
  const int64_t all = (run.last - run.first + Dot::kWidth - 1) / Dot::kWidth;
  const bool whole = piece.done == 0 && piece.ends && p.fold != Fold::none;  // sums are needed no longer than one tile
  for (int64_t t = block.first_tile; t < block.last_tile; ++t) {
    const int64_t row = p.rows.first_row(t), count = p.rows.first_row(t + 1) - row, local = row - block.first;
    int32_t* sums = memory.sums + (whole ? 0 : local * kIntN);
    IntTile tile{.x = p.rows.x + run.steps_before * p.rows.m + all * row + piece.done * count, .steps = piece.steps};
    tile.start = piece.done == 0 ? p.rows.start + piece.run * p.rows.m + row : nullptr;
    for (int64_t c = 0; c < block.columns; c += kIntStrip) {
      tile.ahead = reinterpret_cast<const uint8_t*>(tile.x);
      tile.ahead_step = 0;
      if (t == block.first_tile && p.args.w.panel != 0) ask_ahead<Dot>(p, block, piece, tile, c / kIntStrip);
      tile.strip = int_place(memory.panel, c);
      tile.sum = sums + c;
      int_tile<Dot>(tile, count);
    }
    if (!piece.ends) continue;
    with_fold(p, [&]<Fold kFold, bool kOffset>() {
      for (int64_t r = 0; r < count; ++r) {
        fold_row<kFold, kOffset>(p, memory, piece.run, row + r, sums + r * kIntN, leaves.at(run.leaf, local + r));
      }
    });
  }
}

// int32 sums as they are.
void store_sums(const Product& p, const Block& block, const Memory& memory) {
  for (int64_t r = 0; r < block.count; ++r) {
    int32_t* y = static_cast<int32_t*>(p.rows.y[block.first + r]) + block.column;
    __builtin_memcpy(y, memory.sums + r * kIntN, static_cast<size_t>(block.columns) * sizeof(int32_t));
  }
}

void finish(const Product& p, const Block& block, const Memory& memory, const Leaves& leaves) {
  if (p.fold == Fold::none) return store_sums(p, block, memory);
  finish_block(p.args, leaves, p.rows.y + block.first, block.column, block.columns);
}

Leaves clean_leaves(const Product& p, const Block& block, const Memory& memory) {
  const Leaves leaves{memory.leaves, block.count, kIntN};
  if (p.fold != Fold::none) leaves.clear(p.args.leaves);
  for (int64_t i = 0; p.rows.runs == 0 && i < block.count * kIntN; ++i) memory.sums[i] = 0;
  return leaves;
}

template <class Dot>
void tile_block(const Product& p, const Block& block, const Memory& memory) {
  constexpr int64_t kMost = kIntSteps * Dot::kWidth;
  const Leaves leaves = clean_leaves(p, block, memory);
  int64_t group = -1;
  for (int64_t i = 0; i < p.rows.runs; ++i) {
    const IntRun& run = p.rows.run[i];
    if (run.group != group) load_scales(p, block, run.group, memory);
    group = run.group;
    for (int64_t kk = run.first; kk < run.last; kk += kMost) {
      const int64_t count = min64(kMost, run.last - kk);
      unpack_panel<Dot>({p.args.w, p.args.k, block.column, block.columns, kk, count}, memory.stage, memory.panel);
      const Piece piece{i, (kk - run.first) / Dot::kWidth, (count + Dot::kWidth - 1) / Dot::kWidth, kk + count == run.last};
      run_tiles<Dot>(p, block, memory, leaves, piece);
    }
  }
  finish(p, block, memory, leaves);
}

// Few rows: one after the other from the same lines, which the first of them brings into the cache.
template <class Dot, bool kNibbles>
void line_block(const Product& p, const Block& block, const Memory& memory) {
  const Leaves leaves = clean_leaves(p, block, memory);
  int64_t group = -1;
  for (int64_t i = 0; i < p.rows.runs; ++i) {
    const IntRun& run = p.rows.run[i];
    if (run.group != group) load_scales(p, block, run.group, memory);
    group = run.group;
    IntLine line;
    line.lines = lines_of<Dot>({p.args.w, p.args.k, block.column, block.columns, run.first, run.last - run.first});
    line.steps = (run.last - run.first + Dot::kWidth - 1) / Dot::kWidth;
    line.sum = memory.sums;
    for (int64_t r = 0; r < block.count; ++r) {
      line.x = p.rows.x + run.steps_before * p.rows.m + line.steps * r;
      line.start = p.rows.start[i * p.rows.m + r];
      line.sum = memory.sums + r * kIntN;
      int_line<Dot, kNibbles>(line);
      with_fold(p, [&]<Fold kFold, bool kOffset>() {
        fold_row<kFold, kOffset>(p, memory, i, r, line.sum, leaves.at(run.leaf, r));
      });
    }
  }
  finish(p, block, memory, leaves);
}

template <class Dot>
void run_pass(const Product& p, Lane& lane) {
  const IntRows& rows = p.rows;
  const bool lines = by_lines(p.args, rows.m);
  const int64_t blocks = (p.args.n + kIntN - 1) / kIntN, threads = lane.team->size();
  const int64_t parts = lines || blocks >= threads ? 1 : min64(rows.tiles, (threads + blocks - 1) / blocks);
  const int64_t tiles_each = (rows.tiles + parts - 1) / parts;
  const int64_t most = min64(rows.m, tiles_each * kIntRows);
  Parts<int32_t> memories(lane, Memory::words(p.args.leaves, most));
  lane.team->parallel_for(blocks * parts, grain_of(rows.m * kIntN * p.args.k / parts), [&](int64_t begin, int64_t end) {
    const Memory memory(memories.claim(), most);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t tile = task % parts * tiles_each, last = min64(rows.tiles, tile + tiles_each);
      if (tile >= last) continue;
      const int64_t column = task / parts * kIntN, first = rows.first_row(tile);
      const Block block{tile, last, first, rows.first_row(last) - first, column, min64(kIntN, p.args.n - column)};
      if (!lines) {
        tile_block<Dot>(p, block, memory);
      } else if (p.args.w.dtype == DType::i4) {
        line_block<Dot, true>(p, block, memory);
      } else {
        line_block<Dot, false>(p, block, memory);
      }
    }
  });
}

// Rows one pass over the weights serves: packed activations stay below 8 MiB.
TANDEM_INLINE int64_t pass_rows(int64_t k) {
  constexpr int64_t kMostRows = 192, kBytes = int64_t{8} << 20;
  return max64(kIntRows, min64(kMostRows, kBytes / (2 * (k + 64))) / kIntRows * kIntRows);
}

template <class Dot>
void run_product(const GemmArgs& args, Lane& lane) {
  const Scratch::Mark mark(*lane.scratch);
  const Fold fold = fold_of(args);
  const int64_t group = fold == Fold::fast || fold == Fold::scale ? args.group : 0, most = fold == Fold::fast ? kFastRun : 0;
  const int64_t count = cut_runs(args, group, most, Dot::kWidth, nullptr);
  IntRun* runs = take<IntRun>(*lane.scratch, count);
  cut_runs(args, group, most, Dot::kWidth, runs);
  const int64_t chunk = pass_rows(args.k);
  for (int64_t first = 0; first < args.m; first += chunk) {
    const Scratch::Mark pass(*lane.scratch);
    const IntRows rows = read_int_rows<Dot>(args, first, min64(chunk, args.m - first), runs, count, lane);
    run_pass<Dot>({args, rows, args.token == nullptr ? nullptr : args.token + first, fold}, lane);
  }
}

}  // namespace

bool gemm_integer(const GemmArgs& args, Lane& lane) {
  const bool whole = args.w.dtype == DType::i8 || args.w.dtype == DType::i4;
  if (!whole || (args.x_dtype != DType::i8 && (args.math == Math::exact || args.scale.data == nullptr))) return false;
  if (args.x_dtype == DType::i8 && (args.w.dtype == DType::i4 || kBytesByQuads)) {
    run_product<Quads>(args, lane);
  } else {
    run_product<Pairs>(args, lane);
  }
  return true;
}

}  // namespace tandem::TANDEM_ISA
