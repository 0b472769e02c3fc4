// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/blocking.h"
#include "tandem/kernels/cpu/gemm_pass.h"
#include "tandem/kernels/cpu/gemm_weights.h"
#include "tandem/kernels/cpu/kernels.h"

namespace tandem::TANDEM_ISA {
namespace {

constexpr TileShape kShape{kTileMost, kStripColumns, kColumns};
constexpr int64_t kRowsAhead = 8;  // rows of the output fetched before they are written
// At most so many rows decode weights in registers: one tile uses them, and has registers to spare.
constexpr int64_t kStoredMost = kLanes == 16 ? 8 : 0;

// Sums a block of columns keeps for every row: of the run, of the leaf, and the levels of the tree (or all leaves).
struct Slots {
  float* data = nullptr;
  int64_t rows = 0;

  static int64_t levels(const GemmArgs& args) {
    return args.split_leaves ? args.leaves : 32 - __builtin_clz(static_cast<unsigned>(args.leaves));
  }
  float* slot(int64_t index) const { return data + index * step(); }
  int64_t step() const { return rows * kColumns; }
  float* sums() const { return slot(0); }
  float* leaf() const { return slot(1); }
  float* level(int64_t index) const { return slot(2 + index); }
  int64_t place(int64_t strip, int64_t row) const { return (strip * rows + row) * kStripColumns; }
};

// Scratch of one part of the team.
struct Memory {
  float* strip;
  void* raw;
  float* scale;
  float* shift;
  float* slots;

  static int64_t floats(const GemmArgs& args, int64_t k_block, int64_t rows) {
    return k_block * (kStripColumns + kColumns) + 2 * kColumns + (2 + Slots::levels(args)) * rows * kColumns;
  }
  Memory(float* memory, int64_t k_block)
      : strip(memory),
        raw(strip + k_block * kStripColumns),
        scale(strip + k_block * (kStripColumns + kColumns)),
        shift(scale + kColumns),
        slots(shift + kColumns) {}
};

// Rows [row, row + height) of tiles by one block of columns.
struct Block {
  const Pass& pass;
  int64_t column, columns;
  int64_t first_tile, last_tile;
  Slots slots;
  const Memory& memory;
};

// What the tiles of a piece have in common, for strip 0 and the block's first row.
Tile tile_of(const Block& block, const Piece& piece) {
  const GemmArgs& args = *block.pass.args;
  const Slots& slots = block.slots;
  Tile tile;
  tile.count = piece.count;
  if (!piece.run_begin) tile.begin = slots.sums();
  tile.out = slots.sums();
  if (!piece.run_end) return tile;
  if (args.scale.data != nullptr && piece.count > 0) {
    tile.scale = block.memory.scale;
    if (!piece.leaf_begin) tile.leaf = slots.leaf();
    tile.out = slots.leaf();
  }
  if (!piece.leaf_end) return tile;
  const int64_t before = __builtin_popcountll(static_cast<uint64_t>(piece.leaf));
  tile.levels = args.split_leaves ? 0 : __builtin_ctzll(~static_cast<uint64_t>(piece.leaf));
  tile.level = slots.level(before - 1);
  tile.level_step = slots.step();
  tile.out = slots.level(args.split_leaves ? piece.leaf : before - tile.levels);
  return tile;
}

// All row tiles of one strip.
void run_strip(const Block& block, const Piece& piece, const Tile& common, int64_t strip, const Decoded& weights,
               const Ahead& ahead) {
  const RowTiles& tiles = block.pass.tiles;
  const int64_t calls = (block.last_tile - block.first_tile) * ((block.columns + kStripColumns - 1) / kStripColumns);
  Tile tile = common;
  if (tile.scale != nullptr) tile.scale += strip * kStripColumns;
  tile.place = block.slots.place(strip, 0);
  tile.x = block.pass.tile_x(piece, block.first_tile);
  int64_t call = strip * (block.last_tile - block.first_tile);
  for (int64_t index = block.first_tile; index < block.last_tile; ++index, ++call) {
    const int64_t height = tiles.height(index);
    ahead.aim(call, calls, tile);
    run_tile_of(height, tile, weights);
    tile.place += height * kStripColumns;
    tile.x += height * piece.count;
  }
}

template <class Codec, Shift kShift, int kStripIndex>
TANDEM_INLINE void run_stored(const Block& block, const Piece& piece, const Tile& common, const StoredRows& stored,
                              const Ahead& ahead) {
  const Stored<Codec, kStripIndex, kShift> weights(stored, block.memory.shift);
  Tile tile = common;
  if (tile.scale != nullptr) tile.scale += kStripIndex * kStripColumns;
  tile.place = block.slots.place(kStripIndex, 0);
  tile.x = block.pass.tile_x(piece, 0);
  ahead.aim(kStripIndex, (block.columns + kStripColumns - 1) / kStripColumns, tile);
  const int64_t rows = block.pass.tiles.rows;
  if (rows <= 4) return run_tile<4>(tile, weights);
  if (rows <= 6) return run_tile<6>(tile, weights);
  run_tile<8>(tile, weights);
}

template <class Codec, Shift kShift>
void run_piece(const Block& block, const Piece& piece, const StoredRows& stored, const Ahead& ahead) {
  constexpr bool kPlain = __is_same(Codec, InOrder<F32>) && kShift == Shift::none;
  const Tile common = tile_of(block, piece);
  const Memory& memory = block.memory;
  for_strips([&]<int kStripIndex> {
    if (!Codec::kTurned && kStripIndex * kStripColumns >= block.columns) return;
    if constexpr (kStoredMost > 0) {
      if (block.pass.tiles.rows <= kStoredMost) {
        return run_stored<Codec, kShift, kStripIndex>(block, piece, common, stored, ahead);
      }
    }
    Decoded weights{memory.strip, kStripColumns};
    if (kPlain && stored.pitch == kColumns * int64_t{sizeof(float)}) {
      weights = {static_cast<const float*>(stored.row) + kStripIndex * kStripColumns, kColumns};
    } else {
      decode_strip<Codec, kShift, kStripIndex>(stored, piece.count, memory.shift, memory.strip);
    }
    run_strip(block, piece, common, kStripIndex, weights, ahead);
  });
}

template <class Codec>
void run_pieces(const Block& block, const WeightBlock& weights) {
  const GemmArgs& args = *block.pass.args;
  int64_t loaded = -1;
  Shift shift = Shift::none;
  for (int64_t i = 0; i < block.pass.piece_count; ++i) {
    const Piece& piece = block.pass.pieces[i];
    if (loaded != piece.group) {
      shift = load_group<Codec>(args, piece.group, block.column, block.columns, block.memory.scale, block.memory.shift);
    }
    loaded = piece.group;
    const StoredRows stored = weights.rows(piece.first, piece.count, block.memory.raw);
    const Ahead ahead = weights.ahead(piece.first + piece.count, max64(1, piece.count), stored);
    if (shift == Shift::two) {
      run_piece<Codec, Shift::two>(block, piece, stored, ahead);
    } else if (Codec::kFloat && shift == Shift::none) {
      run_piece<Codec, Codec::kFloat ? Shift::none : Shift::one>(block, piece, stored, ahead);
    } else {
      run_piece<Codec, Shift::one>(block, piece, stored, ahead);
    }
  }
}

// Adds up what the tree still holds, brings columns into order, rounds and stores.
template <class Codec>
void finish(const Block& block) {
  const GemmArgs& args = *block.pass.args;
  const Slots& slots = block.slots;
  const int64_t outputs = args.split_leaves ? args.leaves : 1;
  const int64_t levels = args.split_leaves ? 1 : __builtin_popcountll(static_cast<uint64_t>(args.leaves));
  const int64_t start = block.pass.tiles.start(block.first_tile);
  alignas(64) float line[kColumns], turned[kColumns];
  const int64_t rows = min64(slots.rows, block.pass.rows - start), first = block.pass.first_row + start;
  for (int64_t row = 0; row < rows; ++row) {
    void* y = y_row(args, first + row);
    const void* later = y_row(args, first + min64(row + kRowsAhead, rows - 1));
    __builtin_prefetch(at(later, element_bytes(args.y_dtype) * block.column), 1);
    for (int64_t j = 0; j < outputs; ++j) {
      for (int64_t c = 0; c < kColumns; c += kLanes) {
        const int64_t place = slots.place(c / kStripColumns, row) + c % kStripColumns;
        Vec v = load(slots.level(levels - 1 + j) + place);
        for (int64_t level = levels - 2; level >= 0; --level) v = add(load(slots.level(level) + place), v);
        store(line + c, v);
      }
      if constexpr (Codec::kTurned) to_columns(line, turned);
      const float* values = Codec::kTurned ? turned : line;
      if (args.split_leaves) write_row<F32>(values, block.columns, y, j * args.n + block.column);
      if (!args.split_leaves) {
        with_float(args.y_dtype, [&]<class T>(T) { write_row<T>(values, block.columns, y, block.column); });
      }
    }
  }
}

void run_block(const Pass& pass, int64_t task, int64_t k_block, float* memory) {
  const int64_t part = task % pass.row_parts, column = task / pass.row_parts * kColumns;
  const int64_t first = pass.tiles.tiles * part / pass.row_parts, last = pass.tiles.tiles * (part + 1) / pass.row_parts;
  const Memory pieces(memory, k_block);
  const Slots slots{pieces.slots, pass.tiles.start(last) - pass.tiles.start(first)};
  const Block block{pass, column, min64(kColumns, pass.args->n - column), first, last, slots, pieces};
  const WeightBlock weights(pass.args->w, pass.args->k, column, block.columns);
  with_codec(pass.args->w.dtype, weights.form(), [&]<class Codec>(Codec) {
    run_pieces<Codec>(block, weights);
    finish<Codec>(block);
  });
}

// Passes that run as one piece of parallel work.
struct Passes {
  Pass* list = nullptr;
  int64_t count = 0, tasks = 0, work = 0;
};

void run_passes(const Passes& passes, int64_t k_block, int64_t floats, Lane& lane) {
  Parts<float> parts(lane, floats);
  const auto body = [&](int64_t begin, int64_t end) {
    float* memory = parts.claim();
    for (int64_t i = 0; i < passes.count; ++i) {
      const Pass& pass = passes.list[i];
      const int64_t first = max64(begin, pass.first_task), last = min64(end, pass.first_task + pass.tasks());
      for (int64_t task = first; task < last; ++task) run_block(pass, task - pass.first_task, k_block, memory);
    }
  };
  lane.team->parallel_for(passes.tasks, grain_of(passes.work / max64(1, passes.tasks)), body);
}

void list_pieces(Pass& pass, int64_t k_block, Lane& lane) {
  int64_t count = 0;
  for_pieces(*pass.args, k_block, [&](const Piece&) { ++count; });
  Piece* pieces = take<Piece>(*lane.scratch, count);
  pass.pieces = pieces;
  pass.piece_count = count;
  for_pieces(*pass.args, k_block, [&](const Piece& piece) { *pieces++ = piece; });
}

Pass prepare(const GemmArgs& args, int64_t first, int64_t rows, int64_t k_block, Lane& lane) {
  Pass pass;
  pass.args = &args;
  pass.first_row = first;
  pass.rows = rows;
  pass.tiles = RowTiles(rows <= kStoredMost ? max64(4, (rows + 1) / 2 * 2) : rows);
  list_pieces(pass, k_block, lane);
  pass.x = take<float>(*lane.scratch, pass.tiles.rows * args.k);
  const int64_t threads = lane.team->size(), blocks = pass.blocks();
  if (blocks < threads) pass.row_parts = min64(pass.tiles.tiles, (threads + blocks - 1) / blocks);
  const Pass& ready = pass;
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ready.pack(ready.pieces[i]);
  };
  lane.team->parallel_for(pass.piece_count, grain_of(rows * args.k / pass.piece_count), body);
  return pass;
}

// Where a list of products stands: the next rows of the next product that runs in passes.
struct Cursor {
  const GemmArgs* products;
  int64_t count;
  int64_t product = 0, row = 0;

  const GemmArgs& args() const { return products[product]; }
  // Runs what other kernels serve; false when the list is at its end.
  bool settle(Lane& lane) {
    while (product < count) {
      if (row < args().m && (row > 0 || !served(args(), lane))) return true;
      ++product;
      row = 0;
    }
    return false;
  }
  static bool served(const GemmArgs& args, Lane& lane) {
    return args.n == 0 || gemm_integer(args, lane) || gemm_few(args, lane);
  }
};

// As many passes as memory bounds allow, all in one piece of parallel work.
void run_batch(Cursor& cursor, const Blocking& blocking, Lane& lane) {
  constexpr int64_t kMostPasses = 256, kMostFloats = int64_t{1} << 24;
  const Scratch::Mark mark(*lane.scratch);
  Passes passes;
  passes.list = take<Pass>(*lane.scratch, kMostPasses);
  int64_t floats = 0, packed = 0;
  do {
    const GemmArgs& args = cursor.args();
    const int64_t rows = min64(blocking.row_chunk, args.m - cursor.row);
    Pass& pass = passes.list[passes.count++] = prepare(args, cursor.row, rows, blocking.k_block, lane);
    pass.first_task = passes.tasks;
    passes.tasks += pass.tasks();
    passes.work += rows * args.n * args.k;
    packed += pass.tiles.rows * args.k;
    floats = max64(floats, Memory::floats(args, blocking.k_block, pass.tiles.rows));
    cursor.row += rows;
    if (passes.tasks > 0 && cursor.row < args.m) break;  // one pass over a large product at a time
  } while (passes.count < kMostPasses && packed < kMostFloats && cursor.settle(lane));
  run_passes(passes, blocking.k_block, floats, lane);
}

}  // namespace

void gemm_group(const GemmArgs* products, int64_t count, Lane& lane) {
  const Blocking blocking = blocking_of(kShape);
  Cursor cursor{products, count};
  while (cursor.settle(lane)) run_batch(cursor, blocking, lane);
}

void gemm(const GemmArgs& args, Lane& lane) { gemm_group(&args, 1, lane); }

}  // namespace tandem::TANDEM_ISA
