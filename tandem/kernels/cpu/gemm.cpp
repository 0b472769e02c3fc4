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
constexpr int64_t kStoredMost = kRegisters >= 16 ? 8 : 0;
// Vectors of a strip of such a tile: sums, weights, an activation and the decoder's constants share the registers.
constexpr int stored_vecs(int64_t rows) { return kRegisters >= 32 || rows <= 4 ? kStripVecs : 1; }
constexpr int64_t strip_columns(int64_t rows) {
  return rows <= kStoredMost ? stored_vecs(rows) * kLanes : kStripColumns;
}

// Sums a block of columns keeps for every row: of the run, of the leaf, and the levels of the tree (or all leaves).
struct Slots {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t strip = kStripColumns;  // columns of a strip, a power of two

  static int64_t levels(const GemmArgs& args) {
    return args.split_leaves ? args.leaves : 32 - __builtin_clz(static_cast<unsigned>(args.leaves));
  }
  float* slot(int64_t index) const { return data + index * step(); }
  int64_t step() const { return rows * kColumns; }
  float* sums() const { return slot(0); }
  float* leaf() const { return slot(1); }
  float* level(int64_t index) const { return slot(2 + index); }
  int64_t place(int64_t column, int64_t row) const {
    const int64_t start = column & -strip;  // of the column's strip; no division: this stands in the end of every block
    return start * rows + row * strip + column - start;
  }
};

// Blocks beside each other that one task takes through k together. Rows of a row-major matrix lie pages apart: a page
// walk for each row of a single block, one line long, costs more than its products when there are few rows.
constexpr int64_t kMostGang = 4;

// Scratch of one part of the team: a decoded strip, copied rows, and for each block of a gang scales, shifts and sums.
struct Memory {
  float* strip;
  void* raw;
  float* blocks;

  static int64_t block_floats(const GemmArgs& args, int64_t rows) {
    return 2 * kColumns + (2 + Slots::levels(args)) * rows * kColumns;
  }
  static int64_t floats(const GemmArgs& args, int64_t k_block, int64_t rows, int64_t gang) {
    return k_block * (kStripColumns + kColumns) + gang * block_floats(args, rows);
  }
  Memory(float* memory, int64_t k_block)
      : strip(memory),
        raw(strip + k_block * kStripColumns),
        blocks(strip + k_block * (kStripColumns + kColumns)) {}
};

// Rows of tiles by one block of columns, number `place` of its gang.
struct Block {
  const Pass& pass;
  int64_t column, columns;
  int64_t first_tile, last_tile;
  int64_t place, gang;
  WeightBlock weights;
  float *strip, *scale, *shift;
  Slots slots;
  int64_t loaded = -1;
  Shift kind = Shift::none;
};

// What the tiles of a piece have in common, for the first strip and the block's first row.
Tile tile_of(const Block& block, const Piece& piece) {
  const GemmArgs& args = *block.pass.args;
  const Slots& slots = block.slots;
  Tile tile;
  tile.count = piece.count;
  if (!piece.run_begin) tile.begin = slots.sums();
  tile.out = slots.sums();
  if (!piece.run_end) return tile;
  if (args.scale.data != nullptr && piece.count > 0) {
    tile.scale = block.scale;
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

// `common` for the strip that begins at a column.
Tile strip_tile(const Block& block, const Piece& piece, const Tile& common, int64_t column) {
  Tile tile = common;
  if (tile.scale != nullptr) tile.scale += column;
  tile.place = block.slots.place(column, 0);
  tile.x = block.pass.tile_x(piece, block.first_tile);
  return tile;
}

int64_t strips(const Block& block) { return (block.columns + block.slots.strip - 1) / block.slots.strip; }

// All row tiles of one strip.
void run_strip(const Block& block, const Piece& piece, const Tile& common, int64_t column, const Decoded& weights,
               const Ahead& ahead) {
  const RowTiles& tiles = block.pass.tiles;
  const int64_t height = block.last_tile - block.first_tile, calls = height * strips(block);
  Tile tile = strip_tile(block, piece, common, column);
  int64_t call = block.place * calls + column / kStripColumns * height;
  for (int64_t index = block.first_tile; index < block.last_tile; ++index, ++call) {
    const int64_t rows = tiles.height(index);
    ahead.aim(call, calls * block.gang, tile);
    run_tile_of(rows, tile, weights);
    tile.place += rows * kStripColumns;
    tile.x += rows * piece.count;
  }
}

// The one tile of few rows, its weights decoded in registers.
template <class Codec, Shift kShift, int kRows>
void run_stored(const Block& block, const Piece& piece, const Tile& common, const StoredRows& stored,
                const Ahead& ahead) {
  constexpr int kVecs = stored_vecs(kRows);
  for_strips<kVecs>([&]<int kFirst> {
    if (!Codec::kTurned && kFirst * kLanes >= block.columns) return;
    Tile tile = strip_tile(block, piece, common, kFirst * kLanes);
    const int64_t calls = strips(block);
    ahead.aim(block.place * calls + kFirst / kVecs, block.gang * calls, tile);
    run_tile<kRows, kVecs>(tile, Stored<Codec, kFirst, kVecs, kShift>(stored, block.shift));
  });
}

template <class Codec, Shift kShift>
void run_piece(const Block& block, const Piece& piece, const StoredRows& stored, const Ahead& ahead) {
  constexpr bool kPlain = __is_same(Codec, InOrder<F32>) && kShift == Shift::none;
  const Tile common = tile_of(block, piece);
  const int64_t rows = block.pass.tiles.rows;
  if constexpr (kStoredMost > 0) {
    if (rows <= 4) return run_stored<Codec, kShift, 4>(block, piece, common, stored, ahead);
    if (rows <= 6) return run_stored<Codec, kShift, 6>(block, piece, common, stored, ahead);
    if (rows <= 8) return run_stored<Codec, kShift, 8>(block, piece, common, stored, ahead);
  }
  for_strips<kStripVecs>([&]<int kFirst> {
    if (!Codec::kTurned && kFirst * kLanes >= block.columns) return;
    Decoded weights{block.strip, kStripColumns};
    if (kPlain && stored.pitch == kColumns * int64_t{sizeof(float)}) {
      weights = {static_cast<const float*>(stored.row) + kFirst * kLanes, kColumns};
    } else {
      decode_strip<Codec, kShift, kFirst>(stored, piece.count, block.shift, block.strip);
    }
    run_strip(block, piece, common, kFirst * kLanes, weights, ahead);
  });
}

template <class Codec>
void run_piece(Block& block, const Piece& piece, const Ahead& ahead, const StoredRows& stored) {
  if (block.loaded != piece.group) {
    block.kind = load_group<Codec>(*block.pass.args, piece.group, block.column, block.columns, block.scale, block.shift);
  }
  block.loaded = piece.group;
  if (block.kind == Shift::two) return run_piece<Codec, Shift::two>(block, piece, stored, ahead);
  if (Codec::kFloat && block.kind == Shift::none) {
    return run_piece<Codec, Codec::kFloat ? Shift::none : Shift::one>(block, piece, stored, ahead);
  }
  run_piece<Codec, Shift::one>(block, piece, stored, ahead);
}

template <class Codec>
void run_pieces(Block* blocks, int64_t count, void* raw) {
  const Pass& pass = blocks->pass;
  for (int64_t i = 0; i < pass.piece_count; ++i) {
    const Piece& piece = pass.pieces[i];
    Ahead ahead;
    for (int64_t b = 0; b < count; ++b) {
      const StoredRows stored = blocks[b].weights.rows(piece.first, piece.count, raw);
      if (b == 0) ahead = blocks->weights.ahead(piece.first + piece.count, max64(1, piece.count), stored, count);
      run_piece<Codec>(blocks[b], piece, ahead, stored);
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
        const int64_t place = slots.place(c, row);
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

Block block_of(const Pass& pass, int64_t index, int64_t row_part, const Memory& memory) {
  const int64_t first = pass.tiles.tiles * row_part / pass.row_parts;
  const int64_t last = pass.tiles.tiles * (row_part + 1) / pass.row_parts;
  const int64_t rows = pass.tiles.start(last) - pass.tiles.start(first);
  const int64_t column = index * kColumns, columns = min64(kColumns, pass.args->n - column), place = index % pass.gang;
  float* own = memory.blocks + place * Memory::block_floats(*pass.args, rows);
  return {pass, column, columns, first, last, place, 1, WeightBlock(pass.args->w, pass.args->k, column, columns),
          memory.strip, own, own + kColumns, {own + 2 * kColumns, rows, strip_columns(pass.tiles.rows)}};
}

void run_blocks(Block* blocks, int64_t count, const Memory& memory) {
  for (int64_t b = 0; b < count; ++b) blocks[b].gang = count;
  with_codec(blocks->pass.args->w.dtype, blocks->weights.form(), [&]<class Codec>(Codec) {
    run_pieces<Codec>(blocks, count, memory.raw);
    for (int64_t b = 0; b < count; ++b) finish<Codec>(blocks[b]);
  });
}

template <int64_t... kPlaces>
void run_gang(const Pass& pass, int64_t first, int64_t row_part, const Memory& memory) {
  Block blocks[] = {block_of(pass, min64(first + kPlaces, pass.blocks() - 1), row_part, memory)...};
  const int64_t count = min64(pass.gang, pass.blocks() - first);
  const bool together = blocks[count - 1].weights.form() == Form::rows && (count & (count - 1)) == 0;
  if (together) return run_blocks(blocks, count, memory);
  for (int64_t b = 0; b < count; ++b) {
    blocks[b].place = 0;
    run_blocks(blocks + b, 1, memory);
  }
}

void run_task(const Pass& pass, int64_t task, int64_t k_block, float* floats) {
  const Memory memory(floats, k_block);
  const int64_t first = task / pass.row_parts * pass.gang, row_part = task % pass.row_parts;
  if (pass.gang > 1) return run_gang<0, 1, 2, 3>(pass, first, row_part, memory);
  run_gang<0>(pass, first, row_part, memory);
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
      for (int64_t task = first; task < last; ++task) run_task(pass, task - pass.first_task, k_block, memory);
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

// As many blocks as there are for every thread, as long as their sums take a small part of the second cache.
int64_t gang_of(const GemmArgs& args, int64_t rows, int64_t blocks, int64_t threads) {
  constexpr int64_t kMostFloats = int64_t{1} << 16;
  if (args.w.panel != 0 || args.w.stride_n != 1) return 1;
  int64_t gang = kMostGang;
  while (gang > 1 && (gang * threads > blocks || gang * Memory::block_floats(args, rows) > kMostFloats)) gang /= 2;
  return gang;
}

Pass prepare(const GemmArgs& args, int64_t first, int64_t rows, int64_t k_block, Lane& lane) {
  Pass pass;
  pass.args = &args;
  pass.first_row = first;
  pass.rows = rows;
  pass.tiles = rows <= kStoredMost ? RowTiles(max64(4, (rows + 1) / 2 * 2), kStoredMost) : RowTiles(rows);
  list_pieces(pass, k_block, lane);
  pass.x = take<float>(*lane.scratch, pass.tiles.rows * args.k);
  const int64_t threads = lane.team->size(), blocks = pass.blocks();
  pass.gang = gang_of(args, pass.tiles.rows, blocks, threads);
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
    floats = max64(floats, Memory::floats(args, blocking.k_block, pass.tiles.rows, pass.gang));
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
