// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/gemm_direct.h"
#include "tandem/kernels/cpu/kernels.h"

namespace tandem::TANDEM_ISA {
namespace {

// Scratch of one part: scale and offset rows of a span, sums of a run, leaves.
struct Memory {
  float* scale;
  float* offset;
  float* sums;
  float* leaves;

  static int64_t floats(int64_t leaf_count, int64_t rows) { return (2 + (leaf_count + 1) * rows) * kDirectColumns; }
  Memory(float* memory, int64_t rows)
      : scale(memory), offset(scale + kDirectColumns), sums(offset + kDirectColumns), leaves(sums + rows * kDirectColumns) {}
};

// The scale or offset row of a group, zeros behind the last column.
void load_group(const ScaleView& view, int64_t group, int64_t column, int64_t columns, float* to) {
  read_scales(view, group, column, columns, to);
  for (int64_t c = columns; c % kPanel != 0; ++c) to[c] = 0;
}

void fold(const float* sums, const float* scale, float* leaf, int64_t columns) {
  for (int64_t c = 0; c < columns; c += kLanes) store(leaf + c, fma(load(sums + c), load(scale + c), load(leaf + c)));
}

// At most kDirectColumns columns for all rows.
void span(const GemmArgs& args, const Rows& rows, int64_t column, int64_t columns, const Memory& memory) {
  const bool scaled = args.scale.data != nullptr;
  const bool moved = scaled && args.offset.data != nullptr;
  const Leaves leaves{memory.leaves, rows.m, kDirectColumns};
  leaves.clear(args.leaves);
  int64_t loaded = -1;
  for_runs(args, scaled ? args.group : 0, [&](int64_t leaf, int64_t first, int64_t last, int64_t group) {
    if (scaled && loaded != group) load_group(args.scale, group, column, columns, memory.scale);
    if (moved && loaded != group) load_group(args.offset, group, column, columns, memory.offset);
    loaded = group;
    DirectRun run{args.w, args.k, column, columns, first, last};
    run.x = reinterpret_cast<const float* const*>(rows.x);
    run.offset = moved ? memory.offset : nullptr;
    run.sum = scaled ? memory.sums : leaves.at(leaf, 0);
    run.width = kDirectColumns;
    if (scaled) {
      for (int64_t i = 0; i < rows.m * kDirectColumns; i += kLanes) store(memory.sums + i, set(0.0f));
    }
    direct_run(run, rows.m);
    for (int64_t r = 0; scaled && r < rows.m; ++r) {
      fold(memory.sums + r * kDirectColumns, memory.scale, leaves.at(leaf, r), columns);
    }
  });
  finish_block(args, leaves, rows.y, column, columns);
}

Rows few_rows(const GemmArgs& args, Lane& lane) {
  const Rows rows{args.m, take<const void*>(*lane.scratch, args.m), take<void*>(*lane.scratch, args.m)};
  for (int64_t r = 0; r < args.m; ++r) {
    rows.x[r] = x_row(args, r);
    rows.y[r] = y_row(args, r);
    if (args.x_dtype == DType::f32) continue;
    float* to = take<float>(*lane.scratch, args.k);
    with_float(args.x_dtype, [&]<class T>(T) { read_row<T>(rows.x[r], 0, args.k, to); });
    rows.x[r] = to;
  }
  return rows;
}

bool served(const GemmArgs& args) {
  if (args.m > kDirectRows || args.x_dtype == DType::i8) return false;
  if (args.w.panel == 0) return args.w.stride_n == 1;
  return args.w.panel == kPanel && args.w.dtype != DType::i4;
}

}  // namespace

bool gemm_few(const GemmArgs& args, Lane& lane) {
  if (!served(args)) return false;
  const Scratch::Mark mark(*lane.scratch);
  const Rows rows = few_rows(args, lane);
  Parts<float> parts(lane, Memory::floats(args.leaves, rows.m));
  const int64_t panels = (args.n + kPanel - 1) / kPanel;
  lane.team->parallel_for(panels, grain_of(rows.m * args.k * kPanel), [&](int64_t begin, int64_t end) {
    const Memory memory(parts.claim(), rows.m);
    const int64_t last = min64(args.n, end * kPanel);
    for (int64_t c = begin * kPanel; c < last; c += kDirectColumns) {
      span(args, rows, c, min64(kDirectColumns, last - c), memory);
    }
  });
  return true;
}

}  // namespace tandem::TANDEM_ISA
