// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/gemm_block.h"
#include "tandem/kernels/cpu/gemm_tile.h"

// What one pass over the weights of a product works on: pieces of k, tiles of rows, activations in the order of use.
namespace tandem::TANDEM_ISA {

// A piece of k that is decoded at once: a run (one scale row inside one leaf), cut where it is long.
struct Piece {
  int64_t leaf = 0, group = 0;
  int64_t first = 0, count = 0;
  bool run_begin = false, run_end = false;
  bool leaf_begin = false, leaf_end = false;  // the run is the first of its leaf; the piece is its last
};

// Calls body(piece) for all of k in rising order; an empty leaf is one empty piece.
template <class Body>
TANDEM_INLINE void for_pieces(const GemmArgs& args, int64_t most, const Body& body) {
  const int64_t group = args.scale.data != nullptr ? args.group : 0;
  for (int64_t leaf = 0; leaf < args.leaves; ++leaf) {
    const int64_t begin = leaf * args.k / args.leaves, end = (leaf + 1) * args.k / args.leaves;
    int64_t first = begin, run = begin;
    do {
      const int64_t index = group > 0 ? first / group : 0;
      const int64_t stop = group > 0 ? min64(end, (index + 1) * group) : end;
      const int64_t parts = max64(1, (stop - run + most - 1) / most);
      const int64_t last = min64(stop, first + (stop - run + parts - 1) / parts);
      body(Piece{leaf, index, first, last - first, first == run, last == stop, run == begin, last == end});
      first = last;
      if (last == stop) run = stop;
    } while (first < end);
  }
}

// Rows cut into tiles of nearly equal height.
struct RowTiles {
  int64_t rows = 0, tiles = 0;
  int64_t least = 0, larger = 0;  // height of a tile; this many have one row more

  explicit RowTiles(int64_t count = 0, int64_t most = kTileMost) : rows(count), tiles((count + most - 1) / most) {
    if (tiles == 0) return;
    least = rows / tiles;
    larger = rows % tiles;
  }
  int64_t start(int64_t tile) const { return tile * least + min64(tile, larger); }
  int64_t height(int64_t tile) const { return least + (tile < larger ? 1 : 0); }
};

// Four rows at a time to [k][height] as f32: columns r .. r + 3 of `to`.
template <class T>
TANDEM_INLINE void pack_rows(const void* const* x, int64_t rows, int64_t first, int64_t count, float* to,
                             int64_t height) {
  constexpr int64_t kLine = 64;
  alignas(64) float lines[4 * kLine];
  for (int64_t done = 0; done < count; done += kLine) {
    const int64_t length = min64(kLine, count - done);
    for (int64_t r = 0; r < rows; ++r) read_row<T>(x[r], first + done, length, lines + r * kLine);
    float* out = to + done * height;
    int64_t kk = 0;
    for (; rows == 4 && kk + 4 <= length; kk += 4) transpose4x4(lines + kk, kLine, out + kk * height, height);
    for (; kk < length; ++kk) {
      for (int64_t r = 0; r < rows; ++r) out[kk * height + r] = lines[r * kLine + kk];
    }
  }
}

// Rows [first_row, first_row + rows) of a product. The activations of k rows [first, first + count) lie at
// x + first * tiles.rows, tile by tile, each as [k][height].
struct Pass {
  const GemmArgs* args = nullptr;
  int64_t first_row = 0, rows = 0;
  RowTiles tiles;  // may hold more rows than there are; those are zero
  const Piece* pieces = nullptr;
  int64_t piece_count = 0;
  float* x = nullptr;
  int64_t first_task = 0, row_parts = 1;
  int64_t gang = 1;  // blocks of columns that one task serves

  int64_t blocks() const { return (args->n + kColumns - 1) / kColumns; }
  int64_t tasks() const { return (blocks() + gang - 1) / gang * row_parts; }
  const float* tile_x(const Piece& piece, int64_t tile) const {
    return x + piece.first * tiles.rows + piece.count * tiles.start(tile);
  }
  void pack(const Piece& piece) const {
    for (int64_t tile = 0; tile < tiles.tiles; ++tile) {
      float* to = x + piece.first * tiles.rows + piece.count * tiles.start(tile);
      for (int64_t r = 0; r < tiles.height(tile); r += 4) pack_four(piece, tiles.start(tile) + r, tile, to + r);
    }
  }

 private:
  void pack_four(const Piece& piece, int64_t row, int64_t tile, float* to) const {
    const void* from[4];
    const int64_t height = tiles.height(tile);
    const int64_t wanted = min64(4, tiles.start(tile) + height - row);
    const int64_t present = max64(0, min64(wanted, rows - row));
    for (int64_t r = 0; r < present; ++r) from[r] = x_row(*args, first_row + row + r);
    with_float(args->x_dtype, [&]<class T>(T) { pack_rows<T>(from, present, piece.first, piece.count, to, height); });
    for (int64_t kk = 0; kk < piece.count; ++kk) {
      for (int64_t r = present; r < wanted; ++r) to[kk * height + r] = 0;
    }
  }
};

}  // namespace tandem::TANDEM_ISA
