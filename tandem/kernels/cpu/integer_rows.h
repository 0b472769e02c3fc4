// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tandem/kernels/cpu/gemm_block.h"
#include "tandem/kernels/cpu/integer_panel.h"

// Activations of integer products: cut into runs of k, packed in the order in which the register tiles read them.
namespace tandem::TANDEM_ISA {

// One piece of k with one scale row, inside one leaf; sums of a run are exact integers.
struct IntRun {
  int64_t leaf = 0, first = 0, last = 0, group = 0;
  int64_t steps_before = 0;
  bool leaf_ends = false;
};

inline constexpr int64_t kFastRun = 256;  // rows of k: 256 products of 16 by 8 bits fit 32 bits

// Runs of k in rising order, no longer than `most` (0: any); returns how many, and writes them if `to` is given.
inline int64_t cut_runs(const GemmArgs& args, int64_t group, int64_t most, int64_t width, IntRun* to) {
  int64_t count = 0, steps = 0;
  for_runs(args, group, [&](int64_t leaf, int64_t first, int64_t last, int64_t index) {
    const int64_t leaf_last = (leaf + 1) * args.k / args.leaves;
    while (first < last) {
      const int64_t end = most > 0 ? min64(last, first + most) : last;
      if (to != nullptr) to[count] = {leaf, first, end, index, steps, end == leaf_last};
      steps += (end - first + width - 1) / width;
      ++count;
      first = end;
    }
  });
  return count;
}

// Few rows are multiplied one by one, straight from packed weights.
TANDEM_INLINE bool by_lines(const GemmArgs& args, int64_t m) {
  constexpr int64_t kMost = 3;
  return m <= kMost && args.w.panel == kPanel;
}

// m rows as tiles of at most kRowsOf<Dot> rows, as equal as they can be. Step s of a run, row r of tile t:
//   x[run.steps_before * m + steps * first_row(t) + s * rows(t) + r]
struct IntRows {
  int64_t m = 0, tiles = 0, runs = 0;
  const IntRun* run = nullptr;
  int32_t* x = nullptr;
  int32_t* start = nullptr; // [run][m] where sums of x * (w + bias) begin: -bias times the sum of x
  float* sum = nullptr;     // [run][m] sums of x; fast only
  float* unit = nullptr;    // [run][m] what an integer of x stands for; fast only
  void** y = nullptr;
  int32_t bias = 0;

  TANDEM_INLINE void note_sum(int64_t place, int32_t total) const {
    start[place] = static_cast<int32_t>(0u - static_cast<uint32_t>(bias) * static_cast<uint32_t>(total));
    if (sum != nullptr) sum[place] = static_cast<float>(total);
  }
  TANDEM_INLINE int64_t first_row(int64_t tile) const { return tile * (m / tiles) + min64(tile, m % tiles); }
  TANDEM_INLINE int64_t tile_of(int64_t row) const {
    const int64_t less = m / tiles, longer = m % tiles;
    return row < longer * (less + 1) ? row / (less + 1) : longer + (row - longer * (less + 1)) / less;
  }
};

TANDEM_INLINE int32_t sum_lanes(VecI v) {
  int32_t lanes[kLanes];
  store_i(lanes, v);
  int32_t sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += lanes[i];
  return sum;
}

// Where the steps of one row of a run go: `steps` of them, `width` apart.
struct Place {
  int32_t* to;
  int64_t steps, width;

  template <class Dot>
  TANDEM_INLINE static Place of(const IntRows& rows, const IntRun& run, int64_t row, Dot) {
    const int64_t steps = (run.last - run.first + Dot::kWidth - 1) / Dot::kWidth;
    const int64_t tile = rows.tile_of(row), first = rows.first_row(tile);
    return {rows.x + run.steps_before * rows.m + steps * first + (row - first), steps, rows.first_row(tile + 1) - first};
  }
  // Stores steps [first, first + count), behind which `line` holds zeros up to a whole vector; adds their integers up.
  template <class Dot>
  TANDEM_INLINE VecI put(const int32_t* line, int64_t first, int64_t count, VecI sum, Dot) const {
    for (int64_t s = 0; s < count; s += kLanes) sum = Dot::dot(sum, set_i(Dot::kOnes), load_i(line + s));
    for (int64_t s = 0; s < count; ++s) to[(first + s) * width] = line[s];
    return sum;
  }
};

// int8 activations as they are; zeros behind the last of a run.
template <class Dot>
TANDEM_INLINE void pack_int8(const IntRows& rows, int64_t row, const int8_t* x) {
  constexpr int64_t kPiece = 256;
  alignas(64) int32_t line[kPiece + kLanes];
  for (int64_t i = 0; i < rows.runs; ++i) {
    const IntRun& run = rows.run[i];
    const Place place = Place::of(rows, run, row, Dot());
    VecI sum = set_i(0);
    for (int64_t first = 0; first < place.steps; first += kPiece) {
      const int64_t steps = min64(kPiece, place.steps - first);
      const int8_t* from = x + run.first + first * Dot::kWidth;
      const int64_t count = min64(steps * Dot::kWidth, run.last - run.first - first * Dot::kWidth);
      for (int64_t s = steps - 1; s < steps + kLanes; ++s) line[s] = 0;
      if constexpr (Dot::kWidth == 4) {
        __builtin_memcpy(line, from, static_cast<size_t>(count));
      } else {
        int16_t* wide = reinterpret_cast<int16_t*>(line);
        int64_t k = 0;
        for (; k + kLanes <= count; k += kLanes) store_i16(wide + k, load_i8(from + k));
        for (; k < count; ++k) wide[k] = from[k];
      }
      sum = place.put(line, first, steps, sum, Dot());
    }
    rows.note_sum(i * rows.m + row, sum_lanes(sum));
  }
}

// The unit of a block whose largest |x| is `most`: a power of two with 2^14 <= most / unit < 2^15.
TANDEM_INLINE float fast_unit(float most) {
  constexpr uint32_t kExponent = 0x7f800000u;
  constexpr uint32_t kLeast = (127u - 100u) << 23;
  const uint32_t bits = tandem::float_bits(most) & kExponent;
  if (bits == kExponent || most != most) return kNan;
  return tandem::float_from_bits((bits < kLeast ? kLeast : bits) - (14u << 23));
}

// A block of activations as 16-bit integers of `unit`; NaN or infinity among them: unit NaN and zeros.
template <class T>
TANDEM_INLINE float round_block(const void* x, int64_t first, int64_t count, int16_t* to) {
  alignas(64) float block[kFastRun + 16];
  read_row<T>(x, first, count, block);
  for (int64_t i = count; i < count + kLanes; ++i) block[i] = 0;
  VecI top = set_i(0);
  const int64_t whole = (count + kLanes - 1) / kLanes * kLanes;
  const VecI magnitude = set_i(0x7fffffff);
  for (int64_t i = 0; i < whole; i += kLanes) top = max_i(top, and_i(bits_of(load(block + i)), magnitude));
  int32_t lanes[kLanes], most = 0;
  store_i(lanes, top);
  for (int i = 0; i < kLanes; ++i) most = lanes[i] > most ? lanes[i] : most;
  const float unit = fast_unit(tandem::float_from_bits(static_cast<uint32_t>(most)));
  const bool good = unit == unit;
  const float inverse = good ? tandem::float_from_bits((254u << 23) - tandem::float_bits(unit)) : 0.0f;
  for (int64_t i = 0; i < whole; i += kLanes) {
    store_i16(to + i, good ? round_i(mul(load(block + i), set(inverse))) : set_i(0));
  }
  return unit;
}

template <class T>
TANDEM_INLINE void pack_fast(const IntRows& rows, int64_t row, const void* x) {
  alignas(64) int16_t line[kFastRun + 64];
  for (int64_t i = 0; i < rows.runs; ++i) {
    const IntRun& run = rows.run[i];
    const int64_t count = run.last - run.first;
    for (int64_t k = count / kLanes * kLanes; k < count / kLanes * kLanes + 64; ++k) line[k] = 0;
    rows.unit[i * rows.m + row] = round_block<T>(x, run.first, count, line);
    const Place place = Place::of(rows, run, row, Pairs());
    const VecI sum = place.put(reinterpret_cast<const int32_t*>(line), 0, place.steps, set_i(0), Pairs());
    rows.note_sum(i * rows.m + row, sum_lanes(sum));
  }
}

// Rows [first, first + m) of the call. Static: its parallel loop must not be a symbol of the library.
template <class Dot>
static IntRows read_int_rows(const GemmArgs& args, int64_t first, int64_t m, const IntRun* runs, int64_t run_count,
                             Lane& lane) {
  IntRows rows{.m = m, .tiles = by_lines(args, m) ? m : (m + kRowsOf<Dot> - 1) / kRowsOf<Dot>, .runs = run_count, .run = runs};
  const IntRun* back = run_count > 0 ? runs + run_count - 1 : nullptr;
  const int64_t steps = back != nullptr ? back->steps_before + (back->last - back->first + Dot::kWidth - 1) / Dot::kWidth : 0;
  rows.x = take<int32_t>(*lane.scratch, steps * m);
  rows.start = take<int32_t>(*lane.scratch, run_count * m);
  if (args.x_dtype != DType::i8) rows.sum = take<float>(*lane.scratch, run_count * m);
  if (args.x_dtype != DType::i8) rows.unit = take<float>(*lane.scratch, run_count * m);
  rows.bias = args.w.dtype == DType::i4 ? 8 : Dot::kBias;
  rows.y = take<void*>(*lane.scratch, m);
  lane.team->parallel_for(m, grain_of(args.k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      rows.y[r] = y_row(args, first + r);
      const void* x = x_row(args, first + r);
      if (args.x_dtype == DType::i8) {
        pack_int8<Dot>(rows, r, static_cast<const int8_t*>(x));
      } else if constexpr (Dot::kWidth == 2) {
        with_float(args.x_dtype, [&]<class T>(T) { pack_fast<T>(rows, r, x); });
      }
    }
  });
  return rows;
}

}  // namespace tandem::TANDEM_ISA
