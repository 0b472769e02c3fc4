// SPDX-License-Identifier: Apache-2.0
#include "tandem/kernels/cpu/isa.h"
#if defined(TANDEM_ISA_IS_portable)
#include "tandem/kernels/cpu/kernels.h"

// A fused multiply-add in software costs more than the memory it waits for: few rows are tiles like any others.
bool tandem::TANDEM_ISA::gemm_few(const GemmArgs&, Lane&) { return false; }
#else
#include "tandem/kernels/cpu/few_panel.h"
#include "tandem/kernels/cpu/few_rows.h"
#include "tandem/kernels/cpu/few_turned.h"
#include "tandem/kernels/cpu/gemm_block.h"
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

  static int64_t floats(int64_t leaf_count, int64_t rows, int64_t width) {
    return (2 + (leaf_count + 1) * rows) * width;
  }
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

// At most kSpanColumns columns of row-major weights for all rows.
void span(const GemmArgs& args, const Rows& rows, int64_t column, int64_t columns, const Memory& memory) {
  const bool scaled = args.scale.data != nullptr;
  const bool moved = scaled && args.offset.data != nullptr;
  const Leaves leaves{memory.leaves, rows.m, kSpanColumns};
  leaves.clear(args.leaves);
  int64_t loaded = -1;
  for_runs(args, scaled ? args.group : 0, [&](int64_t leaf, int64_t first, int64_t last, int64_t group) {
    if (scaled && loaded != group) load_group(args.scale, group, column, columns, memory.scale);
    if (moved && loaded != group) load_group(args.offset, group, column, columns, memory.offset);
    loaded = group;
    RowsRun run{args.w, column, columns, first, last};
    run.x = reinterpret_cast<const float* const*>(rows.x);
    run.offset = moved ? memory.offset : nullptr;
    run.sums = scaled ? memory.sums : leaves.at(leaf, 0);
    run.width = kSpanColumns;
    if (scaled) clear(memory.sums, rows.m * kSpanColumns);
    rows_run(args.w.dtype, run, rows.m);
    for (int64_t r = 0; scaled && r < rows.m; ++r) {
      fold(memory.sums + r * kSpanColumns, memory.scale, leaves.at(leaf, r), columns);
    }
  });
  finish_block(args, leaves, rows.y, column, columns);
}

// How the weights of a run become t.
struct Decode {
  bool turned = false;    // columns run along k
  bool moved = false;     // there is an offset
  bool one_step = false;  // bias - offset is exact
};

template <class Codec>
void panel_rows(const PanelRun& run, int64_t rows) {
  switch (rows) {
    case 1: return panel_run<Codec, 1>(run);
    case 2: return panel_run<Codec, 2>(run);
    default: return panel_run<Codec, 3>(run);
  }
}

void run_int8(Decode decode, const PanelRun& run, int64_t rows) {
  if (decode.turned && decode.one_step) return panel_rows<DeepCodec<8, true>>(run, rows);
  if (decode.turned) return panel_rows<DeepCodec<8, false>>(run, rows);
  if (!decode.moved) return panel_rows<PlainCodec<I8, 1, false>>(run, rows);
  if constexpr (kLanes == 16) {
    if (decode.one_step) return panel_rows<TurnedBytes>(run, rows);
  }
  panel_rows<PlainCodec<I8, 1, true>>(run, rows);
}

void run_int4(Decode decode, const PanelRun& run, int64_t rows) {
  if (decode.turned && decode.one_step) return panel_rows<DeepCodec<4, true>>(run, rows);
  if (decode.turned) return panel_rows<DeepCodec<4, false>>(run, rows);
  if (decode.one_step) return panel_rows<NibbleCodec<true>>(run, rows);
  panel_rows<NibbleCodec<false>>(run, rows);
}

void run_panel(DType type, Decode decode, const PanelRun& run, int64_t rows) {
  switch (type) {
    case DType::i4: return run_int4(decode, run, rows);
    case DType::i8: return run_int8(decode, run, rows);
    case DType::f16: return panel_rows<PlainCodec<F16, 2, false>>(run, rows);
    case DType::bf16: return panel_rows<PlainCodec<Bf16, 2, false>>(run, rows);
    default: return panel_rows<PlainCodec<F32, 4, false>>(run, rows);
  }
}

bool fill_one_step(DType type, Decode decode, const float* offset, float* to) {
  if (type == DType::i4) {
    return decode.turned ? one_step_row<DeepCodec<4, true>>(offset, to) : one_step_row<NibbleCodec<true>>(offset, to);
  }
  if (type != DType::i8) return false;
  if (decode.turned) return one_step_row<DeepCodec<8, true>>(offset, to);
  if constexpr (kLanes == 16) return decode.moved && one_step_row<TurnedBytes>(offset, to);
  return false;
}

// One panel of columns while its runs go by.
struct Panel {
  const GemmArgs& args;
  const Rows& rows;
  const Memory& memory;
  int64_t column, columns;
  Decode decode;
  int64_t loaded = -1;
  alignas(64) float one_step[4 * kPanel];
  alignas(64) int32_t turned[32 * kPanel];

  void load(int64_t group) {
    if (loaded == group) return;
    loaded = group;
    if (args.scale.data != nullptr) load_group(args.scale, group, column, columns, memory.scale);
    if (decode.moved) load_group(args.offset, group, column, columns, memory.offset);
    decode.one_step = fill_one_step(args.w.dtype, decode, memory.offset, one_step);
  }

  // Rows [kk, kk + count) of k, which lie at w.
  void multiply(const void* w, int64_t kk, int64_t count, float* sums) const {
    const float* x[kMostRows];
    for (int64_t r = 0; r < rows.m; ++r) x[r] = static_cast<const float*>(rows.x[r]) + kk;
    PanelRun run{static_cast<const char*>(w), count, x, decode.one_step ? one_step : memory.offset};
    run.sums = sums;
    if (decode.turned) run.ahead = 0;
    run_panel(args.w.dtype, decode, run, rows.m);
  }

  // Less than one turn: decoded one by one.
  void multiply_tail(int64_t kk, int64_t last, float* sums) {
    float* to = reinterpret_cast<float*>(turned);
    with_weight(args.w.dtype, [&]<class W>(W) {
      for (int64_t i = kk; i < last; ++i) {
        for (int64_t c = 0; c < kPanel; ++c) {
          const float w = W::one(args.w.data, (column + min64(c, columns - 1)) * args.w.stride_n + i);
          *to++ = decode.moved ? w + memory.offset[c] : w;
        }
      }
    });
    const float* x[kMostRows];
    for (int64_t r = 0; r < rows.m; ++r) x[r] = static_cast<const float*>(rows.x[r]) + kk;
    PanelRun run{reinterpret_cast<const char*>(turned), last - kk, x, nullptr, 0};
    run.sums = sums;
    panel_rows<PlainCodec<F32, 4, false>>(run, rows.m);
  }

  void multiply_turned(int64_t first, int64_t last, float* sums) {
    const int64_t bits = dtype_bits(args.w.dtype), turn = kTurnBytes * 8 / bits, piece = kPieceBytes * 8 / bits;
    const int64_t stride = args.w.stride_n * bits / 8, length = args.k * bits / 8;
    const Columns source{static_cast<const char*>(args.w.data) + column * stride, stride, columns};
    int64_t kk = first;
    while (kk + turn <= last) {
      const int64_t count = min64(piece, (last - kk) / turn * turn), place = kk * bits / 8, bytes = count * bits / 8;
      const int64_t ahead = place + kTurnedAhead < length ? kTurnedAhead : kTurnedAhead + kPanel * stride - length;
      if (bits == 16) {
        turn_words<true>(source, place, bytes, ahead, turned);
        split_pairs(turned, bytes / 4);
      } else {
        turn_words<false>(source, place, bytes, ahead, turned);
      }
      multiply(turned, kk, count, sums);
      kk += count;
    }
    if (kk < last) multiply_tail(kk, last, sums);
  }
};

void panel(const GemmArgs& args, const Rows& rows, int64_t column, int64_t columns, const Memory& memory) {
  const bool scaled = args.scale.data != nullptr;
  const Leaves leaves{memory.leaves, rows.m, kPanel};
  leaves.clear(args.leaves);
  const int64_t bytes = dtype_bytes(args.w.dtype, kPanel);
  const char* start = static_cast<const char*>(args.w.data) + column / kPanel * args.k * bytes;
  Panel self{args, rows, memory, column, columns, {args.w.panel == 0, scaled && args.offset.data != nullptr, false}};
  clear(memory.offset, kPanel);
  for_runs(args, scaled ? args.group : 0, [&](int64_t leaf, int64_t first, int64_t last, int64_t group) {
    self.load(group);
    float* sums = scaled ? memory.sums : leaves.at(leaf, 0);
    if (scaled) clear(sums, rows.m * kPanel);
    if (self.decode.turned) self.multiply_turned(first, last, sums);
    else self.multiply(start + first * bytes, first, last - first, sums);
    const bool turned = kLanes == 16 && args.w.dtype == DType::i8 && !self.decode.turned && self.decode.one_step;
    for (int64_t r = 0; scaled && r < rows.m; ++r) {
      alignas(64) float in_order[kPanel];
      if (turned) turn_back(sums + r * kPanel, in_order);
      fold(turned ? in_order : sums + r * kPanel, memory.scale, leaves.at(leaf, r), kPanel);
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

// Bytes must begin where runs begin.
bool whole_bytes(const GemmArgs& args) {
  if (args.w.dtype != DType::i4) return true;
  bool odd = args.w.stride_n % 2 != 0;
  const int64_t group = args.scale.data != nullptr ? args.group : 0;
  for_runs(args, group, [&](int64_t, int64_t first, int64_t, int64_t) { odd |= first % 2 != 0; });
  return !odd;
}

bool served(const GemmArgs& args) {
  if (args.m > kMostRows || args.x_dtype == DType::i8) return false;
  if (args.scale.data != nullptr && args.w.dtype != DType::i8 && args.w.dtype != DType::i4) return false;
  if (args.w.panel != 0) return args.w.panel == kPanel;
  return args.w.stride_n == 1 || (args.w.stride_k == 1 && whole_bytes(args));
}

}  // namespace

bool gemm_few(const GemmArgs& args, Lane& lane) {
  if (!served(args)) return false;
  const Scratch::Mark mark(*lane.scratch);
  const Rows rows = few_rows(args, lane);
  const bool spans = args.w.panel == 0 && args.w.stride_n == 1;
  const int64_t width = spans ? kSpanColumns : kPanel;
  Parts<float> parts(lane, Memory::floats(args.leaves, rows.m, width));
  const int64_t panels = (args.n + kPanel - 1) / kPanel;
  lane.team->parallel_for(panels, grain_of(rows.m * args.k * kPanel), [&](int64_t begin, int64_t end) {
    const Memory memory(parts.claim(), rows.m, width);
    const int64_t last = min64(args.n, end * kPanel);
    for (int64_t c = begin * kPanel; c < last; c += width) {
      const int64_t columns = min64(width, last - c);
      if (spans) span(args, rows, c, columns, memory);
      else panel(args, rows, c, columns, memory);
    }
  });
  return true;
}

}  // namespace tandem::TANDEM_ISA
#endif
