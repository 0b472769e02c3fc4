// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/few_panel.h"
#include "tandem/kernels/cpu/gemm_direct.h"
#include "tandem/kernels/cpu/kernels.h"

namespace tandem::TANDEM_ISA {
namespace {

inline constexpr int kMostRows = 3;

// Scratch of one part: scale and offset rows of a span, sums of a run, leaves.
struct Memory {
  float* scale;
  float* offset;
  float* sums;
  float* leaves;

  static int64_t floats(int64_t leaf_count, int64_t rows, int64_t width) { return (2 + (leaf_count + 1) * rows) * width; }
  Memory(float* memory, int64_t rows, int64_t width)
      : scale(memory), offset(scale + width), sums(offset + width), leaves(sums + rows * width) {}
};

// The scale or offset row of a group, zeros behind the last column.
void load_group(const ScaleView& view, int64_t group, int64_t column, int64_t columns, float* to) {
  read_scales(view, group, column, columns, to);
  for (int64_t c = columns; c % kPanel != 0; ++c) to[c] = 0;
}

void fold(const float* sums, const float* scale, float* leaf, int64_t columns) {
  for (int64_t c = 0; c < columns; c += kLanes) store(leaf + c, fma(load(sums + c), load(scale + c), load(leaf + c)));
}

void clear(float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) store(to + i, set(0.0f));
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
    if (scaled) clear(memory.sums, rows.m * kDirectColumns);
    direct_run(run, rows.m);
    for (int64_t r = 0; scaled && r < rows.m; ++r) {
      fold(memory.sums + r * kDirectColumns, memory.scale, leaves.at(leaf, r), columns);
    }
  });
  finish_block(args, leaves, rows.y, column, columns);
}

// What serves a panel's run: weights as they lie, or decoded in one or two steps.
enum class Decode { plain, offset, one_step, two_steps };

template <class Codec>
void panel_rows(const PanelRun& run, int64_t rows) {
  switch (rows) {
    case 1: return panel_run<Codec, 1>(run);
    case 2: return panel_run<Codec, 2>(run);
    default: return panel_run<Codec, 3>(run);
  }
}

template <bool kOffset>
void run_plain(DType type, const PanelRun& run, int64_t rows) {
  switch (type) {
    case DType::i8: return panel_rows<PlainCodec<I8, 1, kOffset>>(run, rows);
    case DType::f16: return panel_rows<PlainCodec<F16, 2, kOffset>>(run, rows);
    case DType::bf16: return panel_rows<PlainCodec<Bf16, 2, kOffset>>(run, rows);
    default: return panel_rows<PlainCodec<F32, 4, kOffset>>(run, rows);
  }
}

void run_panel(DType type, Decode decode, const PanelRun& run, int64_t rows) {
  if (decode == Decode::plain) return run_plain<false>(type, run, rows);
  if (decode == Decode::offset) return run_plain<true>(type, run, rows);
  if (decode == Decode::two_steps) return panel_rows<NibbleCodec<false>>(run, rows);
  if (type == DType::i4) return panel_rows<NibbleCodec<true>>(run, rows);
  if constexpr (kLanes == 16) panel_rows<TurnedBytes>(run, rows);
}

// Reads the group's rows for one panel and chooses how its weights become t.
Decode open_group(const GemmArgs& args, int64_t group, int64_t column, int64_t columns, const Memory& memory, float* row) {
  const DType type = args.w.dtype;
  const bool moved = args.scale.data != nullptr && args.offset.data != nullptr;
  if (args.scale.data != nullptr) load_group(args.scale, group, column, columns, memory.scale);
  if (moved) load_group(args.offset, group, column, columns, memory.offset);
  if (type == DType::i4) {
    if (!moved) clear(memory.offset, kPanel);
    return one_step_row<NibbleCodec<true>>(memory.offset, row) ? Decode::one_step : Decode::two_steps;
  }
  if (!moved) return Decode::plain;
  if constexpr (kLanes == 16) {
    if (type == DType::i8 && one_step_row<TurnedBytes>(memory.offset, row)) return Decode::one_step;
  }
  return Decode::offset;
}

// One panel of packed weights.
void panel(const GemmArgs& args, const Rows& rows, int64_t column, int64_t columns, const Memory& memory) {
  const bool scaled = args.scale.data != nullptr;
  const Leaves leaves{memory.leaves, rows.m, kPanel};
  leaves.clear(args.leaves);
  const int64_t bytes = dtype_bytes(args.w.dtype, kPanel);
  const char* start = static_cast<const char*>(args.w.data) + column / kPanel * args.k * bytes;
  alignas(64) float one_step[kPanel];
  const float* x[kMostRows];
  PanelRun run;
  run.x = x;
  Decode decode{};
  int64_t loaded = -1;
  for_runs(args, scaled ? args.group : 0, [&](int64_t leaf, int64_t first, int64_t last, int64_t group) {
    if (loaded != group) decode = open_group(args, group, column, columns, memory, one_step);
    loaded = group;
    for (int64_t r = 0; r < rows.m; ++r) x[r] = static_cast<const float*>(rows.x[r]) + first;
    run.w = start + first * bytes;
    run.count = last - first;
    run.offset = decode == Decode::one_step ? one_step : memory.offset;
    run.sums = scaled ? memory.sums : leaves.at(leaf, 0);
    if (scaled) clear(memory.sums, rows.m * kPanel);
    run_panel(args.w.dtype, decode, run, rows.m);
    const bool turned = decode == Decode::one_step && args.w.dtype == DType::i8;
    for (int64_t r = 0; scaled && r < rows.m; ++r) {
      float* sums = memory.sums + r * kPanel;
      alignas(64) float columns_in_order[kPanel];
      if (turned) turn_back(sums, columns_in_order);
      fold(turned ? columns_in_order : sums, memory.scale, leaves.at(leaf, r), kPanel);
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
  if (args.m > kMostRows || args.x_dtype == DType::i8) return false;
  if (args.w.panel == 0) return args.w.stride_n == 1;
  return args.w.panel == kPanel;
}

}  // namespace

bool gemm_few(const GemmArgs& args, Lane& lane) {
  if (!served(args)) return false;
  const Scratch::Mark mark(*lane.scratch);
  const Rows rows = few_rows(args, lane);
  const int64_t width = args.w.panel != 0 ? kPanel : kDirectColumns;
  Parts<float> parts(lane, Memory::floats(args.leaves, rows.m, width));
  const int64_t panels = (args.n + kPanel - 1) / kPanel;
  lane.team->parallel_for(panels, grain_of(rows.m * args.k * kPanel), [&](int64_t begin, int64_t end) {
    const Memory memory(parts.claim(), rows.m, width);
    const int64_t last = min64(args.n, end * kPanel);
    for (int64_t c = begin * kPanel; c < last; c += width) {
      if (args.w.panel != 0) panel(args, rows, c, min64(width, last - c), memory);
      else span(args, rows, c, min64(width, last - c), memory);
    }
  });
  return true;
}

}  // namespace tandem::TANDEM_ISA
